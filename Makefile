# SPDX-License-Identifier: GPL-2.0-only
#
# BypassIO for Linux.  "make help" lists the targets.

# Kernel the modules are built for, by release; its headers must be installed.
KREL	?= $(shell uname -r)
KDIR	?= /lib/modules/$(KREL)/build
# Kernel the virtual machine runs: a row of selftests/vm/kernels.
KERNEL	?= 6.12

DESTDIR	?=
PREFIX	?= /usr/local
DOCDIR	?= $(PREFIX)/share/doc/dm-bpio
LICENSEDIR ?= $(DOCDIR)/LICENSES
EXAMPLEDIR ?= $(DOCDIR)/examples
MODDIR	?= /lib/modules/$(KREL)/updates
INSTALL	?= install

# A path without blanks, whatever its name. That of the checkout may have some,
# so what lies in it is named relative to it, or by the shell.
BUILD	?= $(CURDIR)/build
override BUILD := $(shell selftests/build-folder '$(BUILD)')
ifeq ($(BUILD),)
$(error There is no build folder)
endif
KMOD	:= $(BUILD)/kmod/$(KREL)
USER_ARGS := -C userspace BUILD=$(BUILD)/userspace PREFIX="$(PREFIX)"
export BUILD

all: user modules-if-possible

help:
	@echo 'To build and install here:'
	@echo '  make                 the modules for the running kernel, library and command'
	@echo '  make install         install them (DESTDIR=, PREFIX=$(PREFIX))'
	@echo '  make modules, make user, make install-modules, make install-user'
	@echo '                       the two halves (KREL=<release> names another kernel)'
	@echo '  make uninstall       remove what "make install" put there'
	@echo '  make deb             packages for Debian, in build/deb'
	@echo
	@echo 'In a virtual machine, with nothing to prepare (as root, on Debian 12):'
	@echo '  make demo            see a file read with and without bypass'
	@echo '  make check           run all tests'
	@echo '  make stress          change files and stack in every way and judge every read;'
	@echo '                       STRESS="--seconds 600 --fs xfs" and the like, SECONDS=600'
	@echo '  make stress-plants   see that it would find mistakes in the module'
	@echo '  make mutants         change lines of the module and see that tests notice;'
	@echo '                       MUTANTS="--few" and names of selftests/mutants/list'
	@echo '  make shell           look around'
	@echo '                       (KERNEL=$(KERNEL) names another kernel: see selftests/vm/kernels;'
	@echo '                       make check KERNEL=all takes one after the other)'
	@echo
	@echo '  make bench           count the instructions of reads; BENCH=--help tells options'
	@echo '  make bench-baseline  the same in full, and store what later ones are compared with'
	@echo '  make lint            static checks'
	@echo '  make debug-kernel    build a kernel that finds bugs (half an hour, once), for'
	@echo '                       make check KERNEL=debug; KERNEL=kcsan finds data races'
	@echo '  make coverage        run the tests on a kernel that counts which lines ran'
	@echo '  make check-intree    build it as part of a kernel tree'
	@echo '  make patches         write it as a series of mails for the newest kernel of Debian'
	@echo '  make check-patches   apply these one by one; checkpatch and build at every step'
	@echo '  make check-host      install the packages, reboot, upgrade and purge them on a'
	@echo '                       Debian 12 machine that keeps its disks; HOST=--short'
	@echo '  make check-arm64     build for arm64 and run the tests on an emulated one'
	@echo '  make clean           remove build/'

# The kernel's build writes beside its sources, so each kernel gets a folder of
# links to them.
kmod-links:
	@mkdir -p $(KMOD)/dm-bpio
	@find $(KMOD)/dm-bpio -xtype l -delete
	@ln -sfn "$(CURDIR)/uapi" $(KMOD)/uapi
	@ln -sf "$(CURDIR)"/dm-bpio/* $(KMOD)/dm-bpio/

NO_HEADERS = There are no headers of kernel $(KREL) at $(KDIR): install the \
	package linux-headers-$(KREL), or name another kernel with KREL=.

modules: kmod-links
	@test -d $(KDIR) || { echo "$(strip $(NO_HEADERS))" >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(KMOD)/dm-bpio $(KFLAGS) modules

modules-if-possible:
ifneq ($(wildcard $(KDIR)/.),)
	@$(MAKE) --no-print-directory modules
else
	@echo "The modules were not built. $(strip $(NO_HEADERS))"
endif

# As above, but for the kernel of the guests, which may need another compiler.
guest-modules: kmod-links
	+selftests/vm/kbuild --kernel $(KERNEL) $(KMOD)/dm-bpio $(KFLAGS) modules

# Modules that tests load, built against dm-bpio like third-party modules.
guest-test-modules: guest-modules
	@mkdir -p $(KMOD)/tests
	@find $(KMOD)/tests -xtype l -delete
	@ln -sf "$(CURDIR)"/selftests/modules/* $(KMOD)/tests/
	@# Kbuild does not notice that another module's symbols have changed.
	@[ $(KMOD)/tests/Module.symvers -nt $(KMOD)/dm-bpio/Module.symvers ] || \
		rm -f $(KMOD)/tests/Module.symvers
	+selftests/vm/kbuild --kernel $(KERNEL) $(KMOD)/tests $(KFLAGS) \
		BPIO=$(KMOD)/dm-bpio \
		KBUILD_EXTRA_SYMBOLS=$(KMOD)/dm-bpio/Module.symvers modules

user:
	$(MAKE) $(USER_ARGS) all

install: modules install-modules install-user
ifeq ($(DESTDIR),)
	depmod $(KREL)
	ldconfig
endif

install-modules:
	$(INSTALL) -d "$(DESTDIR)$(MODDIR)"
	$(INSTALL) -m 644 $(KMOD)/dm-bpio/*.ko "$(DESTDIR)$(MODDIR)/"

install-user: user
	$(MAKE) $(USER_ARGS) DESTDIR="$(DESTDIR)" install
	$(INSTALL) -d "$(DESTDIR)$(DOCDIR)" "$(DESTDIR)$(LICENSEDIR)" \
		"$(DESTDIR)$(EXAMPLEDIR)"
	$(INSTALL) -m 644 README.md "$(DESTDIR)$(DOCDIR)/"
	$(INSTALL) -m 644 LICENSES/* "$(DESTDIR)$(LICENSEDIR)/"
	$(INSTALL) -m 644 dm-bpio/filter*.[ch] dm-bpio/example/Makefile \
		"$(DESTDIR)$(EXAMPLEDIR)/"

uninstall: uninstall-modules uninstall-user
ifeq ($(DESTDIR),)
	depmod $(KREL)
	ldconfig
endif

uninstall-modules:
	rm -f "$(DESTDIR)$(MODDIR)/dm-bpio.ko" "$(DESTDIR)$(MODDIR)/dm-bpio-filter.ko"

# Files to remove are found by installing elsewhere, so the two cannot differ.
# Folders are kept, except those whose path shows that they belong to the project.
uninstall-user:
	rm -rf $(BUILD)/uninstall
	$(MAKE) install-user DESTDIR=$(BUILD)/uninstall
	cd $(BUILD)/uninstall && find . ! -type d -print0 | \
		(cd "$(DESTDIR)/" && xargs -0 rm -f --)
	cd $(BUILD)/uninstall && find . -depth -type d -path '*bpio*' -print0 | \
		(cd "$(DESTDIR)/" && \
		xargs -0 -r rmdir --ignore-fail-on-non-empty -- 2>/dev/null || :)
	rm -rf $(BUILD)/uninstall

# The packages of Debian, in $(BUILD)/deb. Debian's tools expect debian/ on top
# of the tree and write packages beside the tree, so build in a copy. Clear the
# environment, because it holds variables of this make.
DEB_TREE := $(BUILD)/deb/dm-bpio
NO_DH = Packages are built on Debian, with its packages build-essential, debhelper \
	and dh-dkms.
deb:
	@command -v dh_dkms >/dev/null || { echo "$(strip $(NO_DH))" >&2; exit 1; }
	rm -rf $(BUILD)/deb
	mkdir -p $(DEB_TREE)
	tar -c --exclude-vcs --exclude=./build . | tar -x -C $(DEB_TREE)
	mv $(DEB_TREE)/userspace/debian $(DEB_TREE)/
	cd $(DEB_TREE) && env -i HOME="$$HOME" PATH="$$PATH" LC_ALL=C.UTF-8 \
		dpkg-buildpackage -us -uc
	@ls -l $(BUILD)/deb/*.deb

demo:
	@selftests/demo/run --kernel $(KERNEL)

check:
	@selftests/check --kernel $(KERNEL)

# SECONDS= is per file system; STRESS=--help lists more options.
STRESS	?=
stress:
	@selftests/stress/run --kernel $(KERNEL) $(addprefix --seconds ,$(SECONDS)) \
		$(STRESS)

stress-plants:
	@selftests/stress/plants --kernel $(KERNEL) $(STRESS)

MUTANTS	?=
mutants:
	@selftests/mutants/run --kernel $(KERNEL) $(MUTANTS)

shell:
	@selftests/vm/shell --kernel $(KERNEL) \
		--in "$$(selftests/guest-files --kernel $(KERNEL) --tests)"

# Another kernel, or only some rows, can still be compared with what is stored.
BENCH	?=
bench:
	@selftests/bench/run --kernel $(KERNEL) \
		--compare selftests/bench/baseline.json $(BENCH)

bench-baseline:
	@selftests/bench/run --kernel $(KERNEL) --update $(BENCH)

lint:
	@selftests/lint

debug-kernel:
	@selftests/vm/debug-kernel --kernel $(if $(filter kcsan coverage,$(KERNEL)),$(KERNEL),debug)

coverage:
	@selftests/check --kernel coverage guest
	@selftests/coverage

check-intree:
	@selftests/check-intree

# PATCHES=--help tells options of both.
PATCHES	?=
patches:
	@selftests/patches/write $(PATCHES)

check-patches:
	@selftests/patches/check $(PATCHES)

check-arm64:
	@selftests/check-arm64

HOST	?=
check-host:
	@selftests/host/check $(HOST)

clean:
	rm -rf $(BUILD)

.PHONY: all help kmod-links modules modules-if-possible guest-modules \
	guest-test-modules user install install-modules install-user uninstall \
	uninstall-modules uninstall-user deb demo check stress stress-plants \
	mutants shell bench bench-baseline lint debug-kernel coverage \
	check-intree patches check-patches check-arm64 clean
