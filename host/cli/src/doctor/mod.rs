//! `sidenote doctor`: looks at everything that an operator would look at, and says what to do.
//!
//! | file | what |
//! |---|---|
//! | `gather`, `reach` | the facts: from files, from the hosts of the configuration, from the host that runs |
//! | `facts` | them, as plain values |
//! | `checks/` | the checks: a table of judgements, facts in and findings out |
//! | `finding` | what a check finds, and the treatment |

mod checks;
mod facts;
mod finding;
mod gather;
mod reach;

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use sidenote_terminal::{exit, output};

use self::checks::CHECKS;
use self::finding::{Finding, Fix, Mark};
use crate::client::HostArgs;

/// What `doctor` takes.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Make no request beyond this machine: resolve no name, connect only to the running host
    #[arg(long)]
    offline: bool,
    /// Apply the safe remedies: remove other users' permissions on secrets and folders, create
    /// missing folders. Without it they are only shown
    #[arg(long)]
    fix: bool,
    /// The findings as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Looks at everything. Success where nothing is an error.
pub(super) async fn doctor(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut found = examine(&args).await;
    if args.fix {
        let fixes: Vec<_> = found.iter().filter_map(|(_, it)| it.fix.clone()).collect();
        for fix in &fixes {
            output::say(&format!("fixing: {}", fix.shown()));
            apply(fix)?;
        }
        if !fixes.is_empty() {
            found = examine(&args).await;
        }
    }
    let errors = found.iter().filter(|(_, it)| it.result == Mark::Error).count();
    let warnings = found.iter().filter(|(_, it)| it.result == Mark::Warning).count();
    if args.json {
        let findings: Vec<_> = found
            .iter()
            .map(|(check, finding)| {
                let mut value = json!(finding);
                value["check"] = json!(check);
                value
            })
            .collect();
        let value = json!({"ok": errors == 0, "errors": errors, "warnings": warnings, "findings": findings});
        output::data(&value.to_string())?;
    } else {
        output::data(shown(&found).trim_end())?;
    }
    output::say(&match (errors, warnings) {
        (0, 0) => "nothing is wrong".to_owned(),
        (errors, warnings) => format!("{errors} errors, {warnings} warnings"),
    });
    Ok(exit::done_if(errors == 0))
}

async fn examine(args: &DoctorArgs) -> Vec<(&'static str, Finding)> {
    let facts = gather::facts(&args.host, args.offline).await;
    let judged = CHECKS.iter().map(|check| (check.name, (check.judge)(&facts)));
    judged.flat_map(|(name, found)| found.into_iter().map(move |it| (name, it))).collect()
}

fn apply(fix: &Fix) -> anyhow::Result<()> {
    match fix {
        Fix::Chmod { path, mode } => {
            let rights = std::fs::Permissions::from_mode(*mode);
            std::fs::set_permissions(path, rights).with_context(|| {
                format!("{} can't be treated; is it another user's?", path.display())
            })
        }
        Fix::MakeFolder { path, mode } => {
            let made = std::fs::DirBuilder::new().recursive(true).mode(*mode).create(path);
            made.with_context(|| {
                format!("{} can't be treated; is it another user's?", path.display())
            })
        }
    }
}

/// A line for each finding, and below it what to do.
fn shown(found: &[(&'static str, Finding)]) -> String {
    let mut lines = Vec::new();
    for (check, finding) in found {
        let mark = match finding.result {
            Mark::Ok => "ok     ",
            Mark::NotChecked => "-      ",
            Mark::Warning => "warning",
            Mark::Error => "ERROR  ",
        };
        let subject = if finding.subject.is_empty() {
            String::new()
        } else {
            format!("{}: ", finding.subject)
        };
        lines.push(format!("{mark}  {check:<13}  {subject}{}", finding.found));
        if !finding.next.is_empty() {
            lines.push(format!("{:24}-> {}", "", finding.next));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_its_treatment_stands_below() {
        let fix = Fix::Chmod { path: "/s".into(), mode: 0o600 };
        let found = [
            ("store", Finding::ok("/d", "the file is there")),
            ("secret files", Finding::error("/s", "others can read it", "").with_fix(fix)),
        ];
        insta::assert_snapshot!(shown(&found), @r"
        ok       store          /d: the file is there
        ERROR    secret files   /s: others can read it
                                -> chmod 600 /s, or `sidenote doctor --fix`
        ");
    }
}
