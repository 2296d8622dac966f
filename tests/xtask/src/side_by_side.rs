//! Jobs that run side by side. What each one says goes into a file, and is shown whole when it ends.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::thread::ScopedJoinHandle;
use std::time::Instant;

/// What a job does, given the file for all that it says.
type Run<'a> = Box<dyn FnOnce(&File) -> Result<(), String> + Send + 'a>;

/// Something to run.
pub(crate) struct Job<'a> {
    pub(crate) name: String,
    pub(crate) run: Run<'a>,
}

/// Runs all jobs, `lanes` of them at a time, in their order; the next one begins where one ends. Fails with the
/// names of those that failed.
#[expect(clippy::disallowed_methods, reason = "this is a shell; nothing is decided by it")]
pub(crate) fn run(folder: &Path, lanes: usize, jobs: Vec<Job<'_>>) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let waiting = Mutex::new(VecDeque::from(jobs));
    let failed = Mutex::new(Vec::new());
    let lane = || {
        while let Some(job) = next(&waiting) {
            let began = Instant::now();
            let file = folder.join(&job.name).with_extension("txt");
            let done = File::create(&file)
                .map_err(|error| format!("{}: {error}", file.display()))
                .and_then(|file| (job.run)(&file));
            let said = std::fs::read(&file).unwrap_or_default();
            let (said, time) = (String::from_utf8_lossy(&said), began.elapsed().as_secs_f64());
            let became = done.as_ref().err().map_or("done", String::as_str);
            crate::say(&format!("\n» {}, {time:.1} s: {became}\n{}", job.name, said.trim()));
            if done.is_err() {
                failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(job.name);
            }
        }
    };
    std::thread::scope(|scope| (0..lanes.max(1)).for_each(|_| drop(scope.spawn(lane))));
    let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn next<'a>(waiting: &Mutex<VecDeque<Job<'a>>>) -> Option<Job<'a>> {
    waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front()
}

/// What ran beside, by its name.
pub(crate) fn ended(
    it: ScopedJoinHandle<'_, Result<(), String>>,
    what: &str,
) -> Result<(), String> {
    it.join().unwrap_or_else(|_| Err(format!("failed: {what}")))
}
