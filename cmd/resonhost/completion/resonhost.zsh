#compdef resonhost
# Completion of resonhost for zsh. In ~/.zshrc, after compinit: source <(resonhost completion zsh)
_resonhost() {
	local -a out candidates
	local line
	out=("${(@f)$(${~words[1]} completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	case ${out[1]} in
	files)
		compset -P '*='
		_files
		;;
	dirs)
		compset -P '*='
		_files -/
		;;
	*)
		for line in "${(@)out[2,-1]}"; do
			candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
		done
		_describe resonhost candidates
		;;
	esac
}
compdef _resonhost resonhost
