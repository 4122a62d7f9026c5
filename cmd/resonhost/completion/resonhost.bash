# Completion of resonhost for bash. In ~/.bashrc: source <(resonhost completion bash)
_resonhost() {
	local IFS=$'\n' line kind=
	COMPREPLY=()
	while read -r line; do
		if [[ -z $kind ]]; then
			kind=$line
		else
			COMPREPLY+=("${line%%$'\t'*}")
		fi
	done < <("${1/#\~/$HOME}" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	local word=${COMP_WORDS[COMP_CWORD]}
	[[ $word != = ]] || word=
	case $kind in
	files)
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -f -- "$word"))
		;;
	dirs)
		compopt -o filenames 2>/dev/null
		COMPREPLY=($(compgen -d -- "$word"))
		;;
	esac
}
complete -F _resonhost resonhost
