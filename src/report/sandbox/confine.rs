//! What may the process that reads a report still ask of the system? Memory, its pipes, its end: no file, no socket,
//! no program.
//!
//! On Linux by landlock (files) and seccomp (calls), each as far as the kernel has it. [`Confinement`] is what the
//! process itself finds when it tries.

use std::{fs::File, io, net::UdpSocket, os::unix::process::CommandExt as _, process::Command};

use serde::{Deserialize, Serialize};

/// What was found from inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Confinement {
    /// Are files kept away by landlock?
    pub landlock: bool,
    /// Are calls kept away by seccomp?
    pub seccomp: bool,
    /// What it could still do, by name; nothing, where all is well.
    pub open: Vec<String>,
}

impl Confinement {
    /// Is all that is asked for in force?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.landlock && self.seccomp && self.open.is_empty()
    }

    /// Tries what must not be possible.
    pub(super) fn look(landlock: bool, seccomp: bool) -> Self {
        let parent = rustix::process::getppid().map_or(0, |id| id.as_raw_nonzero().get());
        let tries: [(&str, io::Result<()>); 5] = [
            ("read a file", File::open("/proc/self/status").map(drop)),
            ("read the service's environment", File::open(format!("/proc/{parent}/environ")).map(drop)),
            ("make a file", File::create(std::env::temp_dir().join("lockstep-confinement")).map(drop)),
            ("open a socket", UdpSocket::bind("127.0.0.1:0").map(drop)),
            // it comes back only if it was refused; else nothing answers any more, which is told as well
            ("start a program", Err(Command::new("/bin/true").exec())),
        ];
        // for want of a descriptor is not enough: it is to be forbidden
        let is_forbidden = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        let open = tries.into_iter().filter(|(_, tried)| !tried.as_ref().is_err_and(is_forbidden));
        Self { landlock, seccomp, open: open.map(|(what, _)| what.to_owned()).collect() }
    }
}

/// No file from now on, for this thread and those that it starts. Answers whether the kernel does so.
#[cfg(target_os = "linux")]
pub(super) fn no_files() -> bool {
    use landlock::{ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetStatus};
    let confined = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    confined.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// No file, socket, program or process from now on, for all threads. Answers whether the kernel does so.
#[cfg(target_os = "linux")]
pub(super) fn no_calls() -> bool {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};
    let denied = denied().into_iter().map(|call| (call, Vec::new())).collect();
    let forbid = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return false };
    let filter = SeccompFilter::new(denied, SeccompAction::Allow, forbid, arch);
    let program: Option<BpfProgram> = filter.ok().and_then(|filter| filter.try_into().ok());
    program.is_some_and(|program| apply_filter_all_threads(&program).is_ok())
}

#[cfg(target_os = "linux")]
fn denied() -> Vec<i64> {
    let mut calls = vec![
        // files
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_open_by_handle_at,
        libc::SYS_memfd_create,
        libc::SYS_mknodat,
        libc::SYS_mkdirat,
        libc::SYS_linkat,
        libc::SYS_symlinkat,
        libc::SYS_unlinkat,
        libc::SYS_renameat2,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_chroot,
        libc::SYS_pivot_root,
        // sockets
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        // programs and processes
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_kill,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_send_signal,
        libc::SYS_unshare,
        libc::SYS_setns,
        // the kernel's own machinery
        libc::SYS_bpf,
        libc::SYS_io_uring_setup,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend([libc::SYS_open, libc::SYS_creat, libc::SYS_fork, libc::SYS_vfork]);
    calls.sort_unstable();
    calls
}

/// Other systems have neither.
#[cfg(not(target_os = "linux"))]
pub(super) fn no_files() -> bool {
    false
}

/// Other systems have neither.
#[cfg(not(target_os = "linux"))]
pub(super) fn no_calls() -> bool {
    false
}
