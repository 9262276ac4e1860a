//! What scripts rely on: exit codes, precedence, error texts and what stands on stdout.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

mod processes;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

#[path = "../../cli/tests/program_kit/mod.rs"]
mod program_kit;
#[path = "cli/tokens.rs"]
mod tokens;

use program_kit::{Directory, assert_needs_no_reader, bare, outcome};

/// The program in an environment without variables and without files to find.
fn program() -> Command {
    bare(env!("CARGO_BIN_EXE_gateway-tunnel"))
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    outcome(program().args(arguments))
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &["--bogus"][..],
        &["bogus"],
        &[],
        &["serve", "--http", "nowhere"],
        &["serve", "--response-timeout", "10"],
        &["token", "new", "--tokens", "x"],
        &["token", "new", "--agent-id", "WWW", "--tokens", "x"],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty() && !stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_end_with_0() {
    for arguments in [&["--help"][..], &["--version"], &["serve", "-h"], &["help", "token", "new"]] {
        let (code, stdout, _) = run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}");
        assert!(!stdout.is_empty());
    }
}

#[test]
fn missing_settings_end_with_78_and_name_the_remedy() {
    let directory = Directory::new("missing");
    let tokens = directory.file("tokens.toml", "");
    let nowhere = directory.path("nowhere.toml");
    for (arguments, remedy) in [
        (&["serve"][..], "--domain tunnel.example.com"),
        (&["serve", "--domain", "example.com"], "--tokens FILE"),
        (&["serve", "--domain", "example.com", "--tokens", &nowhere], "gateway-tunnel token new"),
        (&["serve", "--domain", "http://example.com", "--tokens", &tokens], "like tunnel.example.com"),
        (&["validate", "--domain", "example.com", "--tokens", &tokens, "--threads", "0"], "more than zero"),
        (&["validate", "--config", &nowhere], "cannot read the configuration file"),
        (&["dev", "--http", "0.0.0.0:8082"], "--i-know"),
        (&["validate", "--log-level", "agent=loud"], "cannot read the log level `agent=loud`"),
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!(code, Some(78), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty(), "{stdout}");
        assert!(stderr.starts_with("error: ") && stderr.contains(remedy), "{stderr}");
    }
}

#[test]
fn a_port_that_is_taken_ends_with_1() {
    let directory = Directory::new("taken");
    let tokens = directory.file("tokens.toml", "");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = taken.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    let (code, _, stderr) = run(&[
        "serve",
        "--domain",
        "localhost",
        "--tokens",
        &tokens,
        "--http",
        &http,
        "--grpc",
        free,
        "--ws",
        free,
        "--admin",
        free,
    ]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("error: ") && stderr.contains(&http), "{stderr}");
}

#[test]
fn a_flag_goes_before_a_variable_and_a_variable_before_the_file() {
    let directory = Directory::new("layers");
    let tokens = directory.file("tokens.toml", "");
    let config = directory.file(
        "gateway.toml",
        &format!(
            "domain = 'file.example'\ntokens = '{tokens}'\nresponse_timeout = '1s'\nidle_timeout = '1s'\n\
             header_timeout = '1s'\ngateway_id = 'file'\n"
        ),
    );
    let (code, stdout, stderr) = outcome(
        program()
            .args(["validate", "--config", &config, "--idle-timeout", "3s", "--header-timeout", "3s"])
            .envs([("INDRANET_RESPONSE_TIMEOUT", "2s"), ("INDRANET_IDLE_TIMEOUT", "2s")])
            .env("INDRANET_DOMAIN", "one.example,two.example"),
    );
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("# configuration ok\n"), "{stdout}");
    for line in [
        "response_timeout = \"2s\"",
        "idle_timeout = \"3s\"",
        "header_timeout = \"3s\"",
        "gateway_id = \"file\"",
        "grace_period = \"30s\"",
        "domain = [\"one.example\", \"two.example\"]",
        "http = \"0.0.0.0:8082\"",
        &format!("tokens = \"{tokens}\""),
    ] {
        assert!(stdout.lines().any(|other| other == line), "{line} is not in\n{stdout}");
    }
}

#[test]
fn what_validate_prints_is_a_file_that_validates() {
    let directory = Directory::new("round-trip");
    let tokens = directory.file("tokens.toml", "");
    let (_, first, _) = run(&["validate", "--domain", "example.com", "--tokens", &tokens]);
    let (_, toml) = first.split_once("\n\n").unwrap();
    let config = directory.file("gateway.toml", toml);
    let (code, second, stderr) = run(&["validate", "--config", &config]);
    assert_eq!(code, Some(0), "{stderr}");
    let settings = |text: &str| text.lines().skip(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(settings(&second), settings(&first));
}

#[test]
fn validate_looks_for_the_place_of_the_audit_log_and_makes_no_file() {
    let directory = Directory::new("audit-place");
    let tokens = directory.file("tokens.toml", "");
    let validate =
        |path: &str| run(&["validate", "--domain", "a.example", "--tokens", &tokens, "--audit-log", path]);
    let (good, bad) = (directory.path("audit.log"), directory.path("missing/audit.log"));
    assert_eq!(validate(&good).0, Some(0));
    assert!(!std::path::Path::new(&good).exists());
    let (code, _, stderr) = validate(&bad);
    assert_eq!(code, Some(78));
    assert!(stderr.contains("audit log") && stderr.contains(&bad), "{stderr}");
}

#[test]
fn the_personal_file_is_found() {
    let directory = Directory::new("found");
    let tokens = directory.file("tokens.toml", "");
    let file =
        directory.file("indranet/gateway.toml", &format!("domain = 'found.example'\ntokens = '{tokens}'"));
    let (code, stdout, _) = outcome(program().arg("validate").env("XDG_CONFIG_HOME", directory.path("")));
    assert_eq!(code, Some(0));
    assert!(stdout.contains(&file) && stdout.contains("found.example"), "{stdout}");
}

#[test]
fn an_unknown_key_is_named_with_file_and_line() {
    let directory = Directory::new("unknown");
    let config = directory.file("gateway.toml", "# ours\ndomian = 'example.com'\n");
    let (code, _, stderr) = run(&["validate", "--config", &config]);
    assert_eq!(code, Some(78));
    let expected = format!("error: {config}:2:1: unknown field `domian`, expected one of `http`");
    assert!(stderr.starts_with(&expected), "{stderr}");
}

#[test]
fn a_mistake_in_a_policy_is_named_with_file_and_line() {
    let directory = Directory::new("policy");
    let file = directory.file("g.toml", "domain = 'a.example'\n[[agent]]\nid = 'shop'\nmax_body = 'much'\n");
    let (code, _, stderr) = run(&["validate", "--config", &file]);
    assert_eq!(code, Some(78));
    assert!(stderr.contains("g.toml:4:12: `much`: a size is"), "{stderr}");
}

#[test]
fn the_documented_policies_are_valid() {
    let directory = Directory::new("documented");
    let tokens = directory.file("tokens.toml", "");
    let guide = include_str!("../../docs/configuration.md");
    let blocks = guide.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let policies = blocks.into_iter().find(|block| block.contains("[agent_defaults]")).unwrap();
    let file = directory.file("g.toml", policies);
    let (code, stdout, stderr) =
        run(&["validate", "--config", &file, "--domain", "a.example", "--tokens", &tokens]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("alice:<hidden>") && !stdout.contains("MDEyMzQ1"), "{stdout}");
}

#[test]
fn a_user_stands_alone_on_stdout_and_the_password_apart() {
    let (code, stdout, stderr) = run(&["password", "ali"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("ali:$pbkdf2-sha256$i=") && stdout.lines().count() == 1, "{stdout}");
    let password = stderr.trim_end();
    assert!(password.len() == 22 && !stdout.contains(password), "{stderr}");

    let directory = Directory::new("user");
    let tokens = directory.file("tokens.toml", "");
    let file =
        directory.file("g.toml", &format!("[[agent]]\nid = 'a'\nbasic_auth = ['{}']", stdout.trim_end()));
    let (code, _, stderr) =
        run(&["validate", "--config", &file, "--domain", "a.example", "--tokens", &tokens]);
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn no_password_on_stdin_is_a_failure() {
    let (code, stdout, stderr) = outcome(program().args(["password", "ali", "--stdin"]).stdin(Stdio::null()));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("no password on stdin"), "{stderr}");
}

#[test]
fn a_new_token_stands_alone_on_stdout_and_in_a_file_of_its_owner() {
    let directory = Directory::new("token");
    let tokens = directory.path("tokens.toml");
    let (code, first, stderr) = run(&["token", "new", "--agent-id", "myapp", "--tokens", &tokens]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.is_empty(), "no hint where nobody reads it: {stderr}");
    let line = first.strip_suffix('\n').unwrap();
    let credential: proto::Credential = line.parse().unwrap();
    assert_eq!(*credential.reveal(), line);
    assert_eq!(fs::metadata(&tokens).unwrap().permissions().mode() & 0o777, 0o600);

    let (code, ..) = run(&["token", "new", "--agent-id", "a", "--agent-id", "*", "--tokens", &tokens]);
    assert_eq!(code, Some(0));
    let text = fs::read_to_string(&tokens).unwrap();
    assert_eq!(text.matches("[[token]]").count(), 2);
    assert!(
        text.contains("agent_ids = [\"myapp\"]") && text.contains("agent_ids = [\"a\", \"*\"]"),
        "{text}"
    );
    let (code, stdout, stderr) = run(&["validate", "--domain", "example.com", "--tokens", &tokens]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!(stdout + &stderr).contains(&*credential.secret.reveal()));
}

#[test]
fn a_malformed_token_file_ends_with_78_and_shows_no_secret() {
    let directory = Directory::new("malformed");
    let secret = "q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng";
    for content in [
        format!("[[token]]\nid = 'itk_a'\nsecret = '{secret}='\nagent_ids = ['a']"),
        format!("[[token]]\nid = 'itk_a'\nsecret = {secret}\nagent_ids = ['a']"),
        format!("[[token]]\nid = 'itk_a_{secret}'\nsecret = '{secret}'\nagent_ids = ['a']"),
        format!("[[token]]\nid = 'itk_a'\nsecret = '{secret}'\nagent_ids = '{secret}'"),
    ] {
        let tokens = directory.file("tokens.toml", &content);
        let validate = ["validate", "--domain", "example.com", "--tokens", &tokens, "--log-level", "trace"];
        let add = ["token", "new", "--agent-id", "a", "--tokens", &tokens];
        for arguments in [&validate[..], &add] {
            let (code, stdout, stderr) = run(arguments);
            assert_eq!(code, Some(78), "{stderr}");
            assert!(!stderr.contains(secret) && stdout.is_empty(), "{stderr}");
            assert!(stderr.contains(&tokens), "{stderr}");
        }
    }
}

#[test]
fn a_token_file_that_others_can_read_is_warned_about() {
    let directory = Directory::new("exposed");
    let tokens = directory.file("tokens.toml", "");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, stderr) = run(&["validate", "--domain", "example.com", "--tokens", &tokens]);
    assert_eq!(code, Some(0));
    assert!(stderr.contains("WARN") && stderr.contains("chmod 600"), "{stderr}");
}

#[test]
fn certificates_that_will_not_work_are_warned_about() {
    let directory = Directory::new("concerns");
    let tokens = directory.file("tokens.toml", "");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).unwrap();
    let warned = |name: &str, years: [i32; 2], mode| {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        [params.not_before, params.not_after] = years.map(|year| rcgen::date_time_ymd(year, 1, 1));
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = directory.file("cert.pem", &params.self_signed(&key).unwrap().pem());
        let key = directory.file("key.pem", &key.serialize_pem());
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let validate = ["validate", "--domain", "example.com", "--tokens", &tokens];
        let (code, _, stderr) = run(&[&validate[..], &["--tls-cert", &cert, "--tls-key", &key]].concat());
        assert_eq!(code, Some(0), "{stderr}");
        stderr
    };
    let good = ("*.example.com", [2020, 4000], 0o640);
    assert_eq!(warned(good.0, good.1, good.2), "");
    let expired = warned(good.0, [2019, 2020], good.2);
    for part in ["WARN", "has expired", "cert.pem", "*.example.com", "2020-01-01T00:00:00Z"] {
        assert!(expired.contains(part), "{part}: {expired}");
    }
    assert!(warned(good.0, [3999, 4000], good.2).contains("is not valid yet"));
    assert!(warned("elsewhere.example", good.1, good.2).contains("for no host that this gateway serves"));
    let exposed = warned(good.0, good.1, 0o644);
    assert!(exposed.contains("key.pem") && exposed.contains("chmod o="), "{exposed}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for arguments in
        [&["completions", "bash"][..], &["completions", "zsh"], &["man"], &["man", "token", "new"]]
    {
        assert_needs_no_reader(program().args(arguments));
    }
}

#[test]
fn every_command_has_a_manual_page() {
    for command in ["serve", "dev", "validate", "token", "key", "completions", "man"] {
        let (code, stdout, _) = run(&["man", command]);
        assert_eq!(code, Some(0));
        assert!(stdout.contains(&format!(".TH gateway-tunnel-{command}")), "{stdout}");
    }
    assert_eq!(run(&["man", "bogus"]).0, Some(78));
}
