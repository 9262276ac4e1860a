use std::{fs, io, path::Path, time::Duration};

/// The CPU time that all living threads of a process have used, to the nanosecond.
///
/// The scheduler adds to it whenever a thread stops running, so it is exact for a process that rests and up to one
/// tick behind for one that does not.
///
/// # Errors
/// What the system says if there is no such process, or if it does not offer `/proc/<pid>/task/<tid>/schedstat`.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        match nanos_of(&thread?.path()) {
            // The thread has ended since.
            Err(error) if is_gone(&error) => {}
            thread => nanos += thread?,
        }
    }
    if nanos == 0 {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no schedstat"));
    }
    Ok(Duration::from_nanos(nanos))
}

fn nanos_of(thread: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(thread.join("schedstat"))?;
    let running = text.split_whitespace().next().and_then(|first| first.parse().ok());
    running.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("schedstat reads `{text}`")))
}

fn is_gone(error: &io::Error) -> bool {
    const NO_SUCH_PROCESS: i32 = 3; // ESRCH: it ended between open and read
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(NO_SUCH_PROCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time() {
        let own = std::process::id();
        let before = cpu_time(own).unwrap();
        let end = before + Duration::from_millis(5);
        while cpu_time(own).unwrap() < end {}
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(cpu_time(u32::MAX).is_err());
    }
}
