#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Man pages and completions agree with the tables of the command.
# shellcheck source=tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"

bpio help --json >"$WORK/help.json"
bpio explain --json >"$WORK/explain.json"

# Values of an array's members: members FILE POINTER KEY
members()
{
	local i

	for ((i = 0; ; i++)); do
		json-get "$2/$i/$3" <"$WORK/$1.json" || return 0
	done
}

# Every option of every verb, once
all_options()
{
	local i=0

	while json-get "/verbs/$i" <"$WORK/help.json" >/dev/null; do
		members help "/verbs/$i/options" name
		i=$((i + 1))
	done | sort -u
}

# A man page as words with single spaces
page()
{
	mandoc -T ascii -O width=1000 "$HERE/man/$1" | col -bx | tr -s ' \n' ' '
}

# knows PAGE TEXT
knows()
{
	page "$1" | grep -F -- "$2" >/dev/null || complain "no \"$2\" in $1"
}

lint()
{
	mandoc -T lint -W warning "$HERE"/man/*.[1345]
}

verbs_in_page()
{
	local verb i

	i=0
	for verb in $(members help /verbs name); do
		knows bpio.1 "bpio $verb"
		for option in $(members help "/verbs/$i/options" name); do
			knows bpio.1 "--$option"
		done
		i=$((i + 1))
	done
	[ "$i" -ge 15 ]
}

statuses_in_page()
{
	local status sentence count=0

	while read -r status; do
		sentence=$(json-get "/exit_statuses/$count/meaning" \
			<"$WORK/help.json")
		knows bpio.1 " $status $sentence"
		count=$((count + 1))
	done < <(members help /exit_statuses status)
	[ "$count" -eq 11 ]
}

reasons_in_page()
{
	local i count

	count=$(reason_count)
	[ "$count" -ge 36 ]

	for ((i = 0; i < count; i++)); do
		knows dm-bpio.4 " $i $(json-get "/reasons/$i/token" \
			<"$WORK/explain.json") $(json-get "/reasons/$i/text" \
			<"$WORK/explain.json")"
	done
}

functions()
{
	sed -n 's/^\t\t\(bpio_[a-z_]*\);/\1/p' "$HERE/libbpio/libbpio.map"
}

functions_in_page()
{
	local name

	for name in $(functions); do
		knows libbpio.3 "$name("
		page libbpio.3 | grep "NAME .*$name.* SYNOPSIS" >/dev/null ||
			complain "$name is not in the NAME section"
	done
}

functions_in_header()
{
	diff <(functions | sort) \
		<(sed -n 's/^[a-z].*[ *]\(bpio_[a-z_]*\)(.*/\1/p' \
			"$HERE/include/bpio.h" | sort)
	functions | while read -r name; do
		grep -q "^ \* $name() - " "$HERE/include/bpio.h" ||
			complain "$name has no comment"
	done
}

exported_symbols()
{
	diff <(functions | sort) \
		<(nm -D --defined-only "$BUILD/libbpio.so" |
			sed -n 's/.* T \(.*\)@@LIBBPIO_0.2$/\1/p' | sort)
	nm -D --defined-only "$BUILD/libbpio.so" | grep ' [TDBR] ' >exported
	refute grep -v LIBBPIO_ exported
}

# What bash would offer: complete_bash WORD...
complete_bash()
{
	COMP_WORDS=(bpio "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_bpio
	printf '%s\n' "${COMPREPLY[@]}"
}

bash_completion()
{
	local i=0 verb

	# shellcheck source=../completions/bpio.bash
	. "$HERE/completions/bpio.bash"
	diff <(members help /verbs name | sort) <(complete_bash '' | sort)
	for verb in $(members help /verbs name); do
		complete_bash "$verb" -- | sed 's/^--//' | grep . | sort |
			diff - <(members help "/verbs/$i/options" name | sort)
		i=$((i + 1))
	done
	[ "$(complete_bash explain writ)" = writer ]
	[ "$(complete_bash --json ex)" = explain ]
	complete_bash run --file x ech >offered
	grep -qx echo offered
}

zsh_completion()
{
	local verb option

	for verb in $(members help /verbs name); do
		grep -q "'$verb:" "$HERE/completions/bpio.zsh" ||
			complain "no $verb"
	done
	for option in $(all_options); do
		grep -q -- "--$option}" "$HERE/completions/bpio.zsh" ||
			complain "no --$option"
	done
	[ -z "$(command -v zsh)" ] || zsh -n "$HERE/completions/bpio.zsh"
}

fish_completion()
{
	local verb option

	for verb in $(members help /verbs name); do
		grep -q -- "-a $verb " "$HERE/completions/bpio.fish" ||
			complain "no $verb"
	done
	for option in $(all_options); do
		grep -q -- "-l $option " "$HERE/completions/bpio.fish" ||
			complain "no --$option"
	done
	[ -z "$(command -v fish)" ] || fish -n "$HERE/completions/bpio.fish"
}

installed()
{
	"${MAKE:-make}" -s -C "$HERE" BUILD="$WORK/build" DESTDIR="$WORK/root" \
		PREFIX=/usr LIBDIR=/usr/lib/test install
	find root -type f -o -type l | sort >files
	for file in bin/bpio lib/test/libbpio.so.0 lib/test/libbpio.a \
		lib/test/bpio/libbpio-preload.so include/bpio.h \
		include/linux/dm-bpio.h share/man/man1/bpio.1 \
		share/man/man3/bpio_open.3 share/man/man4/dm-bpio.4 \
		share/man/man5/bpiotab.5 \
		share/initramfs-tools/hooks/bpio \
		share/initramfs-tools/scripts/local-top/bpio \
		share/bash-completion/completions/bpio \
		lib/udev/rules.d/69-dm-bpio.rules \
		share/zsh/site-functions/_bpio \
		share/fish/vendor_completions.d/bpio.fish; do
		grep -qx "root/usr/$file" files || complain "no $file"
	done
	grep -q '/systemd/system-generators/bpio-generator$' files ||
		complain "no generator"
	export PKG_CONFIG_PATH=$WORK/root/usr/lib/test/pkgconfig
	export PKG_CONFIG_SYSROOT_DIR=$WORK/root
	# shellcheck disable=SC2046 # the flags are several words
	${CC:-cc} -std=c11 -pedantic -Wall -Wextra -Werror \
		$(pkg-config --cflags libbpio) -o sample \
		"$HERE/tests/sample.c" $(pkg-config --libs libbpio)
	export LD_LIBRARY_PATH=$WORK/root/usr/lib/test
	[ "$(./sample)" = "$(pkg-config --modversion libbpio)" ]
	ldd sample >linked
	refute grep json linked
}

# The example of libbpio(3), about a file that is on no volume
example()
{
	local where

	sed -n '/^\.SH EXAMPLES/,/^\.EE/{/^\.EX/,/^\.EE/p}' "$HERE/man/libbpio.3" |
		sed -e '/^\.E[XE]/d' -e 's/\\en/\\n/g' >example.c
	printf 'int main(int argc, char **argv)\n{\n\treturn open_data(argv[argc - 1]) < 0;\n}\n' \
		>>example.c
	${CC:-cc} -Wall -Wextra -Werror -I"$HERE/include" -I"$HERE/../uapi" \
		-o example example.c "$BUILD/libbpio.so"
	where=$(mktemp -p "$BUILD/tests")
	LD_LIBRARY_PATH=$BUILD expect 0 ./example "$where"
	rm "$where"
	says err "$where: The file is not on a bpio volume."
}

# A checkout, BUILD and DESTDIR with blanks in their paths
blanks()
{
	local top="$WORK/a checkout"

	mkdir "$top"
	cp -r "$HERE/../Makefile" "$HERE/../README.md" "$HERE/../LICENSES" \
		"$HERE/../uapi" "$HERE/../dm-bpio" "$HERE" "$top/"
	mkdir "$top/selftests"
	cp "$HERE/../selftests/build-folder" "$top/selftests/"
	export XDG_CACHE_HOME=$WORK/cache
	"${MAKE:-make}" -s -C "$top" BUILD="$WORK/a build" PREFIX=/usr \
		DESTDIR="$WORK/a root" install-user
	"a build/userspace/bpio" version
	"a root/usr/bin/bpio" version
	[ -e "a root/usr/share/man/man3/bpio_open.3" ]
	mkdir "no link"
	expect 2 "${MAKE:-make}" -s -C "$top" BUILD="$WORK/no link" user
	says err "The build folder \"$WORK/no link\" has a blank in its path, and is there already; name another one with BUILD=, or remove it."
}

it "The man pages are free of mandoc's warnings" lint
it "bpio(1) has every verb and option" verbs_in_page
it "bpio(1) has every exit status in the words of the help" statuses_in_page
it "dm-bpio(4) has every reason in the words of the kernel" reasons_in_page
it "libbpio(3) has every public function" functions_in_page
it "The example of libbpio(3) says why a file is not bypassed" example
it "The header declares and describes exactly the functions of the symbol map" \
	functions_in_header
it "The shared library exports exactly the functions of the symbol map" \
	exported_symbols
it "Completion in bash offers exactly the verbs and options there are" \
	bash_completion
it "Completion in zsh knows every verb and option" zsh_completion
it "Completion in fish knows every verb and option" fish_completion
it "A program builds against the installed library, and needs no json-c" \
	installed
it "Paths with blanks can be built in, and installed into" blanks
finish
