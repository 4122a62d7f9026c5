# Completion of resonhost for fish. In a session: resonhost completion fish | source
function __resonhost_complete
	set -l words (commandline -opc)
	set -l word (commandline -ct)
	set -l out ($words[1] completion words -- $words[2..-1] "$word" 2>/dev/null)
	switch "$out[1]"
		case files
			__fish_complete_path (string replace -r '^--[^=]*=' '' -- "$word")
		case dirs
			__fish_complete_directories (string replace -r '^--[^=]*=' '' -- "$word") ''
		case '*'
			string join \n -- $out[2..-1]
	end
end
complete -c resonhost -f -a '(__resonhost_complete)'
