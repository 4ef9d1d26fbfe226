//! `tidemark cluster health`: whether all is well, for people, scripts, Nagios and Prometheus.

use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::commands::watch::WatchArgs;
use crate::commands::{Context, Outcome, finish, output_failed};
use crate::exit::{Exit, Failure};
use crate::output::{Format, OutputArgs, Report, Table, left};
use crate::survey::{Survey, some_of};
use crate::units;

/// Between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Flags of `cluster health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Wait until it is healthy, for so long at most; exit 7 if it is not by then
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "5m", value_parser = units::duration)]
    wait_healthy: Option<Duration>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    format: Form,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    watch: WatchArgs,
}

/// How health is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table for people.
    Text,
    /// One JSON document.
    Json,
    /// One line, and Nagios's exit codes: 0 ok, 1 warning, 2 critical, 3 unknown.
    Nagios,
    /// Prometheus's text format, for a textfile collector.
    Prometheus,
}

/// What is still healthy.
#[derive(Clone, Copy, Debug, Args)]
pub struct Limits {
    /// Under-replicated partitions that are tolerated
    #[arg(long, default_value_t = 0, value_name = "N")]
    max_urp: usize,
    /// Free room that every disk must have
    #[arg(long, default_value = "5%", value_name = "PERCENT", value_parser = percent)]
    min_free: u8,
    /// Lag of a voter behind the end of the metadata log that is tolerated, in entries
    #[arg(long, default_value_t = 1000, value_name = "N")]
    max_quorum_lag: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_urp: 0, min_free: 5, max_quorum_lag: 1000 }
    }
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Works, but the next failure may be felt.
    Warning,
    /// Clients feel it.
    Critical,
}

/// One thing that was looked at.
pub struct Finding {
    check: &'static str,
    severity: Severity,
    /// How many of whatever it counts.
    value: i64,
    message: String,
}

impl Finding {
    /// Whether it is as it should be.
    pub fn is_ok(&self) -> bool {
        self.severity == Severity::Ok
    }
}

/// Runs `cluster health`.
pub async fn run(context: &Context, args: HealthArgs) -> Outcome {
    let form = if args.json { Form::Json } else { args.format };
    if let Some(patience) = args.wait_healthy {
        wait(context, &args, patience).await?;
    }
    args.watch
        .run(async || match look(context, &args).await {
            Ok(findings) => tell(&findings, form),
            Err(failure) if form == Form::Nagios => {
                print(&format!("UNKNOWN - {}\n", failure.message))?;
                Ok(Some(Exit::NAGIOS_UNKNOWN))
            }
            Err(failure) => Err(failure),
        })
        .await
}

async fn look(context: &Context, args: &HealthArgs) -> Result<Vec<Finding>, Failure> {
    let survey = Survey::take(&context.client).await.map_err(Failure::from)?;
    Ok(findings(&survey, &args.limits))
}

/// A cluster that cannot be reached is not healthy yet.
async fn wait(context: &Context, args: &HealthArgs, patience: Duration) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let why = match look(context, args).await {
            Ok(findings) if findings.iter().all(Finding::is_ok) => return Ok(()),
            Ok(findings) => {
                let wrong = findings.iter().filter(|finding| !finding.is_ok());
                wrong.map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; ")
            }
            Err(failure) => failure.message,
        };
        if tokio::time::Instant::now() + LOOK_EVERY >= deadline {
            let message = format!("not healthy within {}: {why}", units::duration_text(patience));
            return Err(Failure::new(Exit::TimedOut, message));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Looks at everything, in the order in which it matters.
pub fn findings(survey: &Survey, limits: &Limits) -> Vec<Finding> {
    let offline = survey.named(|_, partition| partition.leader < 0);
    let small = survey.named(|topic, p| p.leader >= 0 && p.isr.len() < survey.min_isr_of(topic, p));
    let lagging = survey.named(|_, partition| partition.isr.len() < partition.replicas.len());
    let down = survey
        .brokers
        .values()
        .filter(|broker| broker.fenced || survey.is_silent(broker.id))
        .map(|broker| broker.id);
    let down: Vec<String> =
        down.chain(survey.missing.iter().copied()).map(|id| format!("broker {id}")).collect();
    let mut findings = vec![
        controller(survey),
        counted(
            "partitions_offline",
            Severity::Critical,
            &offline,
            0,
            "without a leader",
            "every partition has a leader",
        ),
        counted(
            "partitions_under_min_isr",
            Severity::Critical,
            &small,
            0,
            "with too few replicas in sync for acks=all",
            "every partition takes writes with acks=all",
        ),
        counted(
            "partitions_under_replicated",
            Severity::Warning,
            &lagging,
            limits.max_urp,
            "with replicas out of sync",
            "every replica is in sync",
        ),
        Finding {
            check: "brokers_down",
            severity: if down.is_empty() { Severity::Ok } else { Severity::Warning },
            value: count(down.len()),
            message: match down.as_slice() {
                [] => format!("all {} brokers are up", survey.brokers.len()),
                down => format!("down: {}", some_of(down)),
            },
        },
        voters(survey, limits),
    ];
    findings.extend(disks(survey, limits));
    findings
}

fn controller(survey: &Survey) -> Finding {
    let (severity, message) = match &survey.quorum {
        Ok(quorum) if quorum.leader >= 0 => {
            (Severity::Ok, format!("broker {} is the controller", quorum.leader))
        }
        Ok(_) => (Severity::Critical, "the metadata quorum has no leader: nothing can be changed".to_owned()),
        Err(error) => (Severity::Warning, format!("the metadata quorum is not told: {error}")),
    };
    Finding { check: "controllers_missing", severity, value: i64::from(severity != Severity::Ok), message }
}

fn voters(survey: &Survey, limits: &Limits) -> Finding {
    let finding = |severity, value, message| Finding { check: "voters_down", severity, value, message };
    let Ok(quorum) = &survey.quorum else { return finding(Severity::Ok, 0, "not told".to_owned()) };
    let lags = |end: i64| end >= 0 && quorum.high_watermark - end > limits.max_quorum_lag;
    let voters = quorum.voters.iter();
    let out = voters.filter(|voter| !survey.votes_now(quorum, voter) || lags(voter.log_end_offset));
    let out: Vec<String> = out.map(|voter| format!("voter {}", voter.id)).collect();
    let all = quorum.voters.len();
    match out.len() {
        0 => finding(Severity::Ok, 0, format!("all {all} voters of the quorum are up")),
        n if (all - n) <= all / 2 => finding(
            Severity::Critical,
            count(n),
            format!("the quorum has lost its majority: {} of {all} down", some_of(&out)),
        ),
        n => finding(Severity::Warning, count(n), format!("down or behind: {} of {all}", some_of(&out))),
    }
}

fn disks(survey: &Survey, limits: &Limits) -> Vec<Finding> {
    let (mut failed, mut full) = (Vec::new(), Vec::new());
    for (id, dirs) in &survey.dirs {
        match dirs {
            // It is down, which is another finding.
            Err(_) if survey.is_silent(*id) => {}
            Err(error) => failed.push(format!("broker {id}: {error}")),
            Ok(dirs) => {
                for dir in dirs {
                    if let Some(error) = &dir.error {
                        failed.push(format!("broker {id} {}: {error}", dir.path));
                    }
                    let is_full = dir.total_bytes > 0
                        && dir.usable_bytes * 100 < dir.total_bytes * i64::from(limits.min_free);
                    if is_full {
                        full.push(format!(
                            "broker {id} {}: {} left",
                            dir.path,
                            units::bytes(dir.usable_bytes)
                        ));
                    }
                }
            }
        }
    }
    let room = format!("every disk has {}% of room", limits.min_free);
    let few = format!("with less than {}% of room", limits.min_free);
    vec![
        counted("dirs_failed", Severity::Critical, &failed, 0, "failed", "every data directory takes writes"),
        counted("disks_nearly_full", Severity::Warning, &full, 0, &few, &room),
    ]
}

fn counted(
    check: &'static str,
    severity: Severity,
    names: &[String],
    limit: usize,
    what: &str,
    well: &str,
) -> Finding {
    let severity = if names.len() > limit { severity } else { Severity::Ok };
    let message = match names {
        [] => well.to_owned(),
        names => format!("{} {what}: {}", names.len(), some_of(names)),
    };
    Finding { check, severity, value: count(names.len()), message }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn tell(findings: &[Finding], form: Form) -> Outcome {
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
    let exit = (worst != Severity::Ok).then_some(Exit::Unhealthy);
    match form {
        Form::Text | Form::Json => {
            let format = if form == Form::Json { Format::Json } else { Format::Table };
            let output = OutputArgs { output: format, json: false };
            finish(&report(findings, worst), output).map(|failed| failed.or(exit))
        }
        Form::Nagios => {
            print(&nagios(findings, worst))?;
            Ok(match worst {
                Severity::Ok => None,
                Severity::Warning => Some(Exit::NAGIOS_WARNING),
                Severity::Critical => Some(Exit::NAGIOS_CRITICAL),
            })
        }
        Form::Prometheus => print(&prometheus(findings)).map(|()| exit),
    }
}

fn report(findings: &[Finding], worst: Severity) -> Report {
    let mut table = Table::new([left("STATE"), left("CHECK"), left("FINDING")]);
    let mut rows = Vec::new();
    for finding in findings {
        table.row([word(finding.severity).into(), finding.check.into(), finding.message.as_str().into()]);
        rows.push(json!({
            "check": finding.check, "state": word(finding.severity), "value": finding.value, "message": finding.message,
        }));
    }
    let healthy = worst == Severity::Ok;
    let report =
        Report::new("cluster.health", json!({ "healthy": healthy, "state": word(worst), "checks": rows }));
    report.table(table).note(if healthy { "healthy" } else { "unhealthy" })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn nagios(findings: &[Finding], worst: Severity) -> String {
    let wrong: Vec<&str> = findings.iter().filter(|f| !f.is_ok()).map(|f| f.message.as_str()).collect();
    let what = if wrong.is_empty() { "the cluster is healthy".to_owned() } else { wrong.join("; ") };
    let numbers: Vec<String> = findings.iter().map(|f| format!("{}={}", f.check, f.value)).collect();
    format!("{} - {} | {}\n", word(worst).to_uppercase(), what.replace('|', "/"), numbers.join(" "))
}

fn prometheus(findings: &[Finding]) -> String {
    let healthy = findings.iter().all(Finding::is_ok);
    let mut text = String::from(
        "# HELP tidemark_cluster_healthy 1 while every check is ok.\n# TYPE tidemark_cluster_healthy gauge\n",
    );
    text.push_str(&format!("tidemark_cluster_healthy {}\n", u8::from(healthy)));
    text.push_str(
        "# HELP tidemark_cluster_check What a check counts.\n# TYPE tidemark_cluster_check gauge\n",
    );
    for finding in findings {
        let (check, state, value) = (finding.check, word(finding.severity), finding.value);
        text.push_str(&format!("tidemark_cluster_check{{check=\"{check}\",state=\"{state}\"}} {value}\n"));
    }
    text
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) => output_failed(error).map(|_| ()),
    }
}

/// `15%` or `15`.
fn percent(text: &str) -> Result<u8, String> {
    let number = text.trim_end_matches('%').parse::<u8>();
    number.ok().filter(|number| *number <= 100).ok_or_else(|| format!("{text:?} is not a percentage"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, value: i64) -> Finding {
        Finding { check: "x", severity, value, message: "two | three".to_owned() }
    }

    #[test]
    fn nagios_gets_one_line_with_its_numbers() {
        let findings = [finding(Severity::Warning, 2)];
        assert_eq!(nagios(&findings, Severity::Warning), "WARNING - two / three | x=2\n");
        assert_eq!(nagios(&[finding(Severity::Ok, 0)], Severity::Ok), "OK - the cluster is healthy | x=0\n");
    }

    #[test]
    fn a_number_within_its_limit_is_fine() {
        let names = ["a".to_owned(), "b".to_owned()];
        let of = |limit| counted("x", Severity::Warning, &names, limit, "wrong", "well");
        assert_eq!((of(2).is_ok(), of(1).is_ok(), of(1).message), (true, false, "2 wrong: a, b".to_owned()));
    }

    #[test]
    fn percentages_are_read_with_and_without_their_sign() {
        assert_eq!((percent("15%"), percent("15")), (Ok(15), Ok(15)));
        assert!(percent("150").is_err() && percent("few").is_err());
    }
}
