# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Packages from the mirror that the host itself uses: where it is, and how to
# fetch from it, is read from the host's apt at run time.  Sourced after lib.sh.

host_suite()
{
	# shellcheck source=/dev/null
	(. /etc/os-release && printf '%s\n' "$VERSION_CODENAME")
}

# Address and suite of each Debian list apt has, one a line.
debian_lists()
{
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(REPO_URI)|$(RELEASE)' \
		'Created-By: Packages' 'Component: main' 'Origin: Debian'
}

# A fresh machine may have no package lists yet.
fetch_lists()
{
	local lists

	# asking apt is slow
	for lists in /var/lib/apt/lists/*_Packages*; do
		[ ! -e "$lists" ] || return 0
	done
	[ -z "$(debian_lists)" ] || return 0
	[ "$(id -u)" -eq 0 ] ||
		die "apt has no package lists; run apt-get update as root"
	say "apt has no package lists; fetching them ..."
	timeout 600 apt-get -q update >&2 || die "apt-get update failed"
}

# One-line sources for suite $1 and its comma separated pockets $2, at the
# addresses of the host's own suite.
mirror_sources()
{
	local pocket main_uri='' security_uri='' uri release host

	host=$(host_suite)
	while IFS='|' read -r uri release; do
		case $release in
		"$host") main_uri=${main_uri:-$uri} ;;
		"$host-security") security_uri=${security_uri:-$uri} ;;
		esac
	done < <(debian_lists)
	[ -n "$main_uri" ] ||
		die "the host's apt sources have no Debian $host; add it"
	printf 'deb %s %s main\n' "$main_uri" "$1"
	for pocket in ${2//,/ }; do
		uri=$main_uri
		[ "$pocket" != security ] || uri=$security_uri
		[ -n "$uri" ] ||
			die "the host's apt sources have no $host-security; add it"
		printf 'deb %s %s-%s main\n' "$uri" "$1" "$pocket"
	done
}

# The host's settings of how to fetch (proxies, certificates, date checks), as
# options of mmdebstrap in the array APT_OPTIONS.
fetch_options()
{
	local line

	APT_OPTIONS=(--aptopt='Apt::Sandbox::User "root"')
	while read -r line; do
		APT_OPTIONS+=("--aptopt=$line")
	done < <(apt-config dump | grep -E \
		'^Acquire::(http|https|Check-Valid-Until|Check-Date|Retries)(::| )' |
		grep -v ' "";$')
}

# Set KERNEL_APT to what apt-get and apt-cache need to see the suite of the
# kernel row for its architecture: nothing for the host's own, else lists kept in
# the cache and refreshed once a day.
kernel_apt()
{
	local dir stamp

	KERNEL_APT=()
	[ "$K_SUITE $K_ARCH" != "$(host_suite) amd64" ] || return 0
	dir=$(cache_dir)/apt-$K_SUITE-$K_ARCH
	stamp=$dir/updated
	mkdir -p "$dir"/{lists/partial,archives/partial}
	mirror_sources "$K_SUITE" "$K_POCKETS" >"$dir/sources.list"
	KERNEL_APT=(-o "Dir::Etc::SourceList=$dir/sources.list"
		-o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir"
		-o Dir::State::Status=/dev/null -o APT::Sandbox::User=root
		-o "APT::Architecture=$K_ARCH" -o "APT::Architectures=$K_ARCH"
		-o "APT::Default-Release=$K_SUITE${K_LAST_POCKET:+-$K_LAST_POCKET}")
	if [ -n "$(find "$stamp" -mtime -1 2>/dev/null)" ]; then
		return 0
	fi
	say "fetching the package lists of $K_SUITE ..."
	if timeout 600 apt-get "${KERNEL_APT[@]}" -q update >"$dir/log" 2>&1; then
		touch "$stamp"
	elif [ -e "$stamp" ]; then
		say "that failed; going on with those of $(date -r "$stamp" +%F)"
	else
		cat "$dir/log" >&2
		die "the mirror has no $K_SUITE for $K_ARCH, which kernel $K_NAME needs"
	fi
}

# The newest image package of the series in the row's pattern, if any; suites
# of backports drop a series when the next one comes.
series_release()
{
	apt-cache "${KERNEL_APT[@]}" pkgnames "${K_IMAGE%%\**}" |
		sed -n -E 's/^linux-image-([0-9.]+(\+deb[0-9]+)?(-[0-9]+)?-'"$K_ARCH"')$/\1/p' |
		sort -V | tail -n 1
}

# The release of the kernel row's kernel: where modules are built on the host,
# the one the host has headers for, so that they load; where the kernel is built
# here, that of the source the host has; else the newest in apt.
kernel_release()
{
	local headers release='' metapackage=$K_IMAGE

	if [ "$K_BUILD" = source ]; then
		# shellcheck disable=SC2016 # dpkg-query's own variable
		release=$(dpkg-query -W -f '${Version}' "$K_IMAGE" 2>/dev/null) ||
			die "$K_IMAGE is missing; run selftests/vm/prepare as root"
		printf '%s-%s\n' "${release%%-*}" "$K_NAME"
		return
	fi
	if [ "$K_BUILD" = host ]; then
		# shellcheck disable=SC2016 # dpkg-query's own variables
		headers=$(dpkg-query -W -f '${db:Status-Status} ${Depends}' \
			"$K_HEADERS" 2>/dev/null || true)
		release=$(sed -n \
			's/^installed .*linux-headers-\([0-9][^ ,]*\).*/\1/p' \
			<<<"$headers")
	fi
	if [[ $K_IMAGE == *'*' ]]; then
		release=$(series_release)
		metapackage=linux-image-$K_ARCH
	fi
	if [ -z "$release" ]; then
		release=$(apt-cache "${KERNEL_APT[@]}" depends "$metapackage" 2>/dev/null |
			sed -n 's/^ *Depends: linux-image-\([0-9].*\)$/\1/p' |
			head -n 1)
	fi
	[ -n "$release" ] ||
		die "apt knows no package $metapackage; run selftests/vm/prepare as root"
	printf '%s\n' "$release"
}
