//! What this process asks of the system for its memory.

/// Forbids core dumps of this process. On Linux other processes of the same user can no longer look into it either.
///
/// Where the system refuses, the program is as good as without it. Windows writes no core dumps unless an administrator
/// asks for them.
pub(super) fn keep_private() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, none);
    }
}

/// Lets up to 8 MiB that were freed stay with the process, where the allocator is glibc's.
///
/// By itself it gives the end of its memory back as soon as some 100 KiB of it are free, and the next file's bytes are put into
/// pages that the kernel has to clear anew: 3 % of the CPU time of a run over files of 1 MiB. With more
/// than this, a night of four million files needs a third more memory than one of one million. Its limit for that becomes
/// twice the size of the largest block that was ever freed (`mallopt(3)`, `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD`). The
/// block is never written to, so that it takes no memory itself.
pub(super) fn keep_freed() {
    const BLOCK: usize = 4 << 20;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::hint::black_box;

    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn a_core_dump_is_forbidden() {
        super::keep_private();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }

    /// Pages that the kernel gave to this thread so far (`proc_pid_stat(5)`, `minflt`).
    #[cfg(target_env = "gnu")]
    fn pages_given() -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let behind_the_name = text.rsplit_once(')').unwrap().1;
        behind_the_name
            .split_whitespace()
            .nth(7)
            .unwrap()
            .parse()
            .unwrap()
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn memory_that_was_freed_is_used_again_without_new_pages() {
        const PAGES: u64 = 256;
        let use_once = || drop(black_box(vec![1_u8; PAGES as usize * 4096]));
        super::keep_freed();
        use_once();
        let before = pages_given();
        (0..20).for_each(|_| use_once());
        let given = pages_given() - before;
        assert!(given < PAGES, "{given} pages for the same {PAGES} of them");
    }
}
