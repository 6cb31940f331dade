//! Which kinds of sockets a sandbox may make: those that its network holds back, and those within the sandbox. A
//! network namespace does not hold back others, a virtual machine's line to its host (`AF_VSOCK`) above all. And no reading
//! of the kernel's log, which some machines let everybody do (`kernel.dmesg_restrict`).

/// Keeps this process, and all that come of it, to Unix, IP and netlink sockets. There is no way back.
pub fn restrict() -> std::io::Result<()> {
    imp::restrict()
}

#[cfg(all(target_os = "linux", target_endian = "little"))]
mod imp {
    use std::io;

    use seccompiler::{apply_filter, sock_filter};

    // linux/filter.h, linux/seccomp.h
    const LOAD: u16 = 0x20;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERROR: u32 = 0x0005_0000;
    // Places in `seccomp_data`: the call's number, the architecture, the first argument.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const ARGUMENT: u32 = 16;
    /// "Address family not supported by protocol", what a kernel without the family says.
    const EAFNOSUPPORT: u32 = 97;
    /// "Operation not permitted", what a kernel says that shows its log to root only.
    const EPERM: u32 = 1;
    /// "Function not implemented", after which programs do without io_uring.
    const ENOSYS: u32 = 38;
    /// Unix, IPv4, IPv6, netlink (read-only here, and for the loopback alone).
    const FAMILIES: [u32; 4] = [1, 2, 10, 16];
    /// Has the same number everywhere; makes sockets without the call that is looked at.
    const IO_URING_SETUP: u32 = 425;
    /// `SOCKETCALL` with this first argument is `socket`; its others cannot be looked at.
    const SYS_SOCKET: u32 = 1;

    /// How an architecture, or the older one that its kernel runs as well, numbers its calls.
    struct Calls {
        architecture: u32,
        socket: &'static [u32],
        socketcall: Option<u32>,
        syslog: &'static [u32],
    }

    #[cfg(target_arch = "x86_64")]
    const CALLS: [Calls; 2] = [
        Calls {
            architecture: 0xc000_003e,
            socket: &[41, 0x4000_0000 + 41],
            socketcall: None,
            syslog: &[103, 0x4000_0000 + 103],
        },
        Calls {
            architecture: 0x4000_0003,
            socket: &[359],
            socketcall: Some(102),
            syslog: &[103],
        },
    ];
    #[cfg(target_arch = "aarch64")]
    const CALLS: [Calls; 2] = [
        Calls {
            architecture: 0xc000_00b7,
            socket: &[198],
            socketcall: None,
            syslog: &[116],
        },
        Calls {
            architecture: 0x4000_0028,
            socket: &[281],
            socketcall: Some(102),
            syslog: &[103],
        },
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    const CALLS: [Calls; 0] = [];

    pub(super) fn restrict() -> io::Result<()> {
        if CALLS.is_empty() {
            return Err(io::Error::other(
                "the numbers of this processor's system calls are not known",
            ));
        }
        apply_filter(&program()).map_err(io::Error::other)
    }

    /// One block for each architecture; a block that does not apply is jumped over. An unknown one makes no calls.
    fn program() -> Vec<sock_filter> {
        let mut program = Vec::new();
        for calls in &CALLS {
            let block = block(calls);
            program.push(step(LOAD, 0, 0, ARCHITECTURE));
            program.push(step(
                IF_EQUAL,
                0,
                u8::try_from(block.len()).unwrap_or(u8::MAX),
                calls.architecture,
            ));
            program.extend(block);
        }
        program.push(step(RETURN, 0, 0, ERROR | ENOSYS));
        program
    }

    fn block(calls: &Calls) -> Vec<sock_filter> {
        let mut block = vec![
            step(LOAD, 0, 0, NUMBER),
            step(IF_EQUAL, 0, 1, IO_URING_SETUP),
            step(RETURN, 0, 0, ERROR | ENOSYS),
        ];
        for number in calls.syslog {
            block.push(step(IF_EQUAL, 0, 1, *number));
            block.push(step(RETURN, 0, 0, ERROR | EPERM));
        }
        for number in calls.socket {
            // Over all of this when it is another call.
            block.push(step(IF_EQUAL, 0, 7, *number));
            block.push(step(LOAD, 0, 0, ARGUMENT));
            for (family, over) in FAMILIES.iter().zip([3, 2, 1, 0]) {
                // The last one leads to the refusal when it is another.
                block.push(step(IF_EQUAL, over, u8::from(over == 0), *family));
            }
            block.push(step(RETURN, 0, 0, ALLOW));
            block.push(step(RETURN, 0, 0, ERROR | EAFNOSUPPORT));
        }
        if let Some(number) = calls.socketcall {
            block.extend([
                step(IF_EQUAL, 0, 3, number),
                step(LOAD, 0, 0, ARGUMENT),
                step(IF_EQUAL, 0, 1, SYS_SOCKET),
                step(RETURN, 0, 0, ERROR | ENOSYS),
            ]);
        }
        block.push(step(RETURN, 0, 0, ALLOW));
        block
    }

    const fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
        sock_filter { code, jt, jf, k }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// Runs the program as the kernel does.
        fn verdict(architecture: u32, number: u32, argument: u32) -> u32 {
            let (program, mut at, mut loaded) = (program(), 0, 0);
            loop {
                let step = &program[at];
                at += 1;
                match (step.code, step.k) {
                    (LOAD, NUMBER) => loaded = number,
                    (LOAD, ARCHITECTURE) => loaded = architecture,
                    (LOAD, _) => loaded = argument,
                    (IF_EQUAL, wanted) => at += usize::from(if loaded == wanted { step.jt } else { step.jf }),
                    (_, value) => return value,
                }
            }
        }

        #[test]
        fn only_sockets_of_known_kinds_are_made_whatever_way_they_are_asked_for() {
            for calls in &CALLS {
                for number in calls.socket {
                    for family in 0..50 {
                        let expected = if FAMILIES.contains(&family) {
                            ALLOW
                        } else {
                            ERROR | EAFNOSUPPORT
                        };
                        assert_eq!(
                            verdict(calls.architecture, *number, family),
                            expected,
                            "{number} {family}"
                        );
                    }
                }
                for number in [0, 1, 3, 59, 400, 1000] {
                    assert_eq!(verdict(calls.architecture, number, 40), ALLOW, "{number}");
                }
                assert_eq!(verdict(calls.architecture, IO_URING_SETUP, 0), ERROR | ENOSYS);
                for number in calls.syslog {
                    assert_eq!(verdict(calls.architecture, *number, 3), ERROR | EPERM);
                }
                if let Some(number) = calls.socketcall {
                    assert_eq!(verdict(calls.architecture, number, SYS_SOCKET), ERROR | ENOSYS);
                    assert_eq!(verdict(calls.architecture, number, 3), ALLOW);
                }
            }
            assert_eq!(verdict(0, 41, 2), ERROR | ENOSYS);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_endian = "little")))]
mod imp {
    pub(super) fn restrict() -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
