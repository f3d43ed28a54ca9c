# SPDX-License-Identifier: GPL-2.0-only
# Completion of bpio(1) for fish.

set -l verbs state info list stack pause resume enable disable adopt release tab up down upgrade watch run attach detach explain help version
set -l paths state info list stack pause resume enable disable adopt release
set -l none "not __fish_seen_subcommand_from $verbs"

complete -c bpio -f
complete -c bpio -n $none -a state -d "Show whether reads of a path are bypassed"
complete -c bpio -n $none -a info -d "Show one bpio volume"
complete -c bpio -n $none -a list -d "List every bpio volume"
complete -c bpio -n $none -a stack -d "Show the answer of each layer below a path"
complete -c bpio -n $none -a pause -d "Stop the bypass of a file or volume"
complete -c bpio -n $none -a resume -d "End a pause"
complete -c bpio -n $none -a enable -d "Let all reads of a volume skip layers"
complete -c bpio -n $none -a disable -d "Undo what enable did"
complete -c bpio -n $none -a adopt -d "Make a volume of a device in use"
complete -c bpio -n $none -a release -d "Undo what adopt did"
complete -c bpio -n $none -a tab -d "Show the volumes of /etc/bpiotab"
complete -c bpio -n $none -a up -d "Make volumes of /etc/bpiotab"
complete -c bpio -n $none -a down -d "Undo what up did"
complete -c bpio -n $none -a upgrade -d "Replace the loaded module by the installed one"
complete -c bpio -n $none -a watch -d "Show events as they happen"
complete -c bpio -n $none -a run -d "Run a command whose direct reads are bypassed"
complete -c bpio -n $none -a attach -d "Enable BypassIO for open files of a process"
complete -c bpio -n $none -a detach -d "Disable BypassIO for open files of a process"
complete -c bpio -n $none -a explain -d "Explain why something is not bypassed"
complete -c bpio -n $none -a help -d "Show the help"
complete -c bpio -n $none -a version -d "Show the version"

complete -c bpio -s j -l json -d "Print JSON"
complete -c bpio -s q -l quiet -d "Print no results"
complete -c bpio -s h -l help -d "Show the help of the verb"
complete -c bpio -n $none -s V -l version -d "Show the version"
complete -c bpio -n "__fish_seen_subcommand_from state" -s v -l verbose -d "Also show the layers and a hint"
complete -c bpio -n "__fish_seen_subcommand_from state" -s a -l all -d "Show every objection"
complete -c bpio -n "__fish_seen_subcommand_from watch" -s c -l count -x -d "End after N events"
complete -c bpio -n "__fish_seen_subcommand_from run attach detach" -s f -l file -r -F -d "Only files that match"
complete -c bpio -n "__fish_seen_subcommand_from attach" -s F -l follow -d "Continue with files that are opened later"
complete -c bpio -n "__fish_seen_subcommand_from list" -s o -l files -d "List the files with BypassIO enabled"
complete -c bpio -n "__fish_seen_subcommand_from adopt release" -s n -l dry-run -d "Print the tables, change nothing"
complete -c bpio -n "__fish_seen_subcommand_from adopt" -s k -l keep -d "Adopt again whenever the table is replaced"
complete -c bpio -n "__fish_seen_subcommand_from adopt" -s K -l kept -d "Adopt a kept device again, for udev"
complete -c bpio -n "__fish_seen_subcommand_from adopt" -s S -l any-storage -d "Also storage other than NVMe"
complete -c bpio -n "__fish_seen_subcommand_from tab" -s C -l check -d "Fail if a volume cannot be made"
complete -c bpio -n "__fish_seen_subcommand_from tab" -s D -l claims -d "Print the volume above a device, for udev"
complete -c bpio -n "__fish_seen_subcommand_from up" -s i -l initrd -d "Only volumes of the initramfs"
complete -c bpio -n "__fish_seen_subcommand_from run" -s s -l summary -r -F -d "Write the summary to a file"

complete -c bpio -n "__fish_seen_subcommand_from $paths" -F
complete -c bpio -n "__fish_seen_subcommand_from $paths" -a "(cat /sys/block/dm-*/dm/name 2>/dev/null)"
complete -c bpio -n "__fish_seen_subcommand_from tab" -F
complete -c bpio -n "__fish_seen_subcommand_from up down" -a "(string match -r -g '^\s*([^#\s]\S*)' </etc/bpiotab 2>/dev/null)"
complete -c bpio -n "__fish_seen_subcommand_from attach detach" -a "(__fish_complete_pids)"
complete -c bpio -n "__fish_seen_subcommand_from explain" -a "(bpio explain 2>/dev/null | string match -r -g '^ *\d+ +(\S+)')"
complete -c bpio -n "__fish_seen_subcommand_from help" -a "$verbs"
complete -c bpio -n "__fish_seen_subcommand_from run" -xa "(__fish_complete_subcommand --fcs-skip=2)"
