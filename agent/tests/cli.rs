//! What scripts rely on: exit codes, precedence, error texts and what stands on stdout.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use std::{net::TcpListener, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proto::{ConnectRequest, Credential, Feature, auth};
use serde_json::Value;

mod processes;
#[path = "../../cli/tests/program_kit/mod.rs"]
mod program_kit;

use program_kit::{Directory, assert_needs_no_reader, bare, outcome};

const TOKEN: &str = "itk_k3v9_q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng";
const OTHER_TOKEN: &str = "itk_b7_ADRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0VniQEjQ";
const SECRET: &str = "q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng";

/// The program with a token, and otherwise in an environment without variables and without files to find.
fn program() -> Command {
    let mut command = bare(env!("CARGO_BIN_EXE_agent-tunnel"));
    command.env("INDRANET_TOKEN", TOKEN);
    command
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
        &["connect", "3000", "4000"],
        &["connect", "3000", "--grace-period", "30"],
        &["sign"],
        &["sign", "--id", "myapp", "--nonce", "abc"],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty() && !stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn wrong_settings_end_with_78_and_name_the_remedy() {
    for (arguments, remedy) in [
        (&["connect"][..], "`agent-tunnel connect 3000`"),
        (&["connect", "ftp://localhost"], "is not a local service"),
        (
            &["connect", "http://localhost", "--upstream-protocol", "https"],
            "in the --upstream-protocol https",
        ),
        (&["connect", "3000", "--upstream-ca", "/nonexistent"], "cannot read certificates from /nonexistent"),
        (&["connect", "3000", "--host", "a b"], "say preserve, upstream or a name"),
        (&["connect", "3000", "--route", "/api"], "write --route /prefix=target"),
        (&["connect", "http://localhost/app"], "leave the path off"),
        (&["connect", "localhost"], "say a port, host:port or http://host:port"),
        (&["connect", "3000", "--gateway", "gw.example.com"], "is not a gateway; write grpc://"),
        (&["connect", "3000", "--gateway", "ws://gw/tunnel"], "has a path"),
        (&["connect", "3000", "--connections", "0"], "say 1 to 16"),
        (&["connect", "3000", "--max-link-age", "1ms"], "0s is never"),
        (&["connect", "3000", "--health-check", "healthz"], "say tcp, a path like /healthz"),
        (&["connect", "3000", "--id", "My App"], "cannot be the agent's --id"),
        (&["connect", "3000", "--token-file", "/nonexistent"], "cannot read the token file /nonexistent"),
        (&["validate", "--config", "/nonexistent"], "cannot read the configuration file /nonexistent"),
        (&["sign", "--id", "myapp", "--gateway", "gw"], "is not a gateway"),
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!(code, Some(78), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty(), "{stdout}");
        assert!(stderr.starts_with("error: ") && stderr.contains(remedy), "{stderr}");
    }
}

#[test]
fn no_token_ends_with_78_and_says_where_to_get_one() {
    for token in [None, Some("")] {
        let mut program = program();
        program.args(["connect", "3000"]).env_remove("INDRANET_TOKEN");
        token.map(|empty| program.env("INDRANET_TOKEN", empty));
        let (code, _, stderr) = outcome(&mut program);
        assert_eq!(code, Some(78));
        assert!(stderr.contains("gateway-tunnel token new") && stderr.contains("--token-file"), "{stderr}");
    }
}

#[test]
fn a_malformed_token_ends_with_78_and_is_not_repeated() {
    let directory = Directory::new("malformed");
    let malformed = format!("itk_k3v9_{SECRET}=");
    let file = directory.file("token", &malformed);
    for (arguments, variable, origin) in [
        (&["connect", "3000", "--log-level", "trace"][..], malformed.as_str(), "INDRANET_TOKEN"),
        (&["validate", "3000", "--log-level", "trace"], SECRET, "INDRANET_TOKEN"),
        (&["connect", "3000", "--token", &malformed], TOKEN, "--token"),
        (&["connect", "3000", "--token-file", &file], TOKEN, &file),
        (&["sign", "--id", "myapp"], &malformed, "INDRANET_TOKEN"),
    ] {
        let (code, stdout, stderr) = outcome(program().args(arguments).env("INDRANET_TOKEN", variable));
        assert_eq!(code, Some(78), "{arguments:?}: {stderr}");
        assert!(stderr.contains(&format!("the token in {origin} is malformed")), "{stderr}");
        assert!(!(stdout + &stderr).contains(SECRET), "{stderr}");
    }
}

#[test]
fn a_whole_token_in_the_wrong_place_is_never_repeated() {
    let directory = Directory::new("whole");
    let config = directory.file("agent.toml", &format!("target = '3000'\ntoken_file = '{OTHER_TOKEN}'\n"));
    let cut = &OTHER_TOKEN[..OTHER_TOKEN.len() - 3];
    let url = format!("grpc://{OTHER_TOKEN}");
    let route = format!("/a={OTHER_TOKEN}");
    let needs_file = "that is a token, and the name of a file is needed";
    for (arguments, expected, said) in [
        (&["validate", "3000", "--token-file", OTHER_TOKEN][..], 2, needs_file),
        (&["connect", "3000", "--token-file", cut], 2, needs_file),
        (&["sign", "--id", "myapp", "--token-file", OTHER_TOKEN], 2, needs_file),
        (&["validate", "--config", &config], 78, needs_file),
        (&["validate", "--config", OTHER_TOKEN], 78, "cannot read the configuration file itk_b7_***"),
        (&["connect", OTHER_TOKEN], 78, "`itk_b7_***` is not a local service"),
        (&["connect", "3000", OTHER_TOKEN], 2, "unexpected argument 'itk_b7_***'"),
        (&["connect", "3000", "--gateway", OTHER_TOKEN], 78, "`itk_b7_***` is not a gateway"),
        (&["connect", "3000", "--gateway", &url], 78, "`grpc://itk_b7_***` is not a gateway"),
        (&["sign", "--id", "myapp", "--gateway", &url], 78, "`grpc://itk_b7_***` is not a gateway"),
        (&["connect", "3000", "--id", OTHER_TOKEN], 78, "`itk_b7_***` cannot be the agent's --id"),
        (&["connect", "3000", "--host", OTHER_TOKEN], 78, "`itk_b7_***` cannot be the --host"),
        (&["connect", "3000", "--route", &route], 78, "`itk_b7_***` is not a local service"),
        (&["connect", "3000", "--grace-period", OTHER_TOKEN], 2, "invalid value 'itk_b7_***'"),
        (&["connect", "3000", "--proxy", OTHER_TOKEN], 78, "--proxy names no proxy"),
        (&["connect", "3000", "--tls-server-name", OTHER_TOKEN], 78, "--tls-server-name is not usable"),
        (&["sign", "--id", OTHER_TOKEN], 2, "invalid value 'itk_b7_***'"),
        (&["status", OTHER_TOKEN], 69, "no agent `itk_b7_***`"),
        (&["completions", OTHER_TOKEN], 2, "invalid value 'itk_b7_***'"),
        (&["man", OTHER_TOKEN], 78, "no command `itk_b7_***`"),
        (&[OTHER_TOKEN], 2, "unrecognized subcommand 'itk_b7_***'"),
    ] {
        let (code, stdout, stderr) = outcome(program().args(arguments).env("TMPDIR", directory.path("")));
        assert_eq!(code, Some(expected), "{stderr}");
        assert!(stderr.contains(said), "{said}: {stderr}");
        assert!(!(stdout + &stderr).contains("ADRWeJAS"), "{stderr}");
    }
    let (code, _, stderr) =
        outcome(program().args(["validate", "3000"]).env("INDRANET_TOKEN_FILE", OTHER_TOKEN));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains(needs_file) && stderr.contains("'INDRANET_TOKEN_FILE (--token-file <FILE>)'"),
        "{stderr}"
    );
    assert!(!stderr.contains("ADRWeJAS"), "{stderr}");
}

#[test]
fn a_variable_with_a_wrong_value_is_named() {
    for (variable, value, named) in [
        ("INDRANET_GRACE_PERIOD", "5", "'5' for 'INDRANET_GRACE_PERIOD (--grace-period <TIME>)'"),
        ("INDRANET_LOG_FORMAT", "xml", "'xml' for 'INDRANET_LOG_FORMAT (--log-format <FORMAT>)'"),
        ("INDRANET_QUIET", "perhaps", "'perhaps' for 'INDRANET_QUIET (--quiet[=<BOOL>])'"),
    ] {
        let (code, _, stderr) = outcome(program().args(["validate", "3000"]).env(variable, value));
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(named), "{stderr}");
    }
    let wrong_flag = ["validate", "3000", "--grace-period", "6"];
    let (_, _, stderr) = outcome(program().args(wrong_flag).env("INDRANET_GRACE_PERIOD", "5s"));
    assert!(stderr.contains("'6' for '--grace-period <TIME>'"), "{stderr}");
}

#[test]
fn a_token_in_the_file_is_refused_and_not_repeated() {
    let directory = Directory::new("token-key");
    let config = directory.file("agent.toml", &format!("target = '3000'\ntoken = '{TOKEN}'\n"));
    let (code, _, stderr) = run(&["validate", "--config", &config]);
    assert_eq!(code, Some(78));
    assert!(stderr.contains(":2:1: unknown field `token`") && stderr.contains("`token_file`"), "{stderr}");
    assert!(!stderr.contains(SECRET), "{stderr}");
}

#[test]
fn help_never_shows_what_a_variable_holds() {
    for arguments in [&["connect", "--help"][..], &["sign", "--help"], &["man", "connect"]] {
        let (code, stdout, _) = outcome(program().args(arguments).env("INDRANET_ID", "visible"));
        assert_eq!(code, Some(0));
        assert!(stdout.contains("INDRANET_ID") && !stdout.contains("visible"), "{stdout}");
        assert!(!stdout.contains(SECRET), "{stdout}");
    }
}

#[test]
fn a_flag_goes_before_a_variable_and_a_variable_before_the_file() {
    let directory = Directory::new("layers");
    let config = directory.file(
        "agent.toml",
        "target = '1000'\nid = 'file'\ngateway = 'grpc://file'\nmax_retries = 1\ngrace_period = '1s'\nquiet = true\n",
    );
    let (code, stdout, stderr) = outcome(
        program()
            .args(["validate", "3000", "--config", &config, "--max-retries", "3"])
            .envs([("INDRANET_TARGET", "2000"), ("INDRANET_ID", "env"), ("INDRANET_MAX_RETRIES", "2")])
            .env("INDRANET_GATEWAY", "ws://one,http://two:9000"),
    );
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("# configuration ok\n"), "{stdout}");
    for line in [
        "target = \"http://127.0.0.1:3000\"",
        "id = \"env\"",
        "max_retries = 3",
        "grace_period = \"1s\"",
        "quiet = true",
        "gateway = [\"ws://one:8080\", \"grpc://two:9000\", \"ws://two:9000\"]",
        "connections = 2",
        "health_interval = \"10s\"",
        "status = true",
    ] {
        assert!(stdout.lines().any(|other| other == line), "{line} is not in\n{stdout}");
    }
    assert!(!stdout.contains("itk_"), "{stdout}");
}

#[test]
fn services_for_some_paths_come_from_flags_or_from_the_file() {
    let directory = Directory::new("routes");
    let config = directory.file(
        "agent.toml",
        "target = 'https://web'\nhost = 'upstream'\n[[routes]]\nprefix = '/api/'\ntarget = '4000'\nstrip_prefix = true\n",
    );
    let (code, stdout, stderr) = run(&["validate", "--config", &config]);
    assert_eq!(code, Some(0), "{stderr}");
    let table = "[[routes]]\nprefix = \"/api\"\ntarget = \"http://127.0.0.1:4000\"\nstrip_prefix = true\n";
    assert!(stdout.contains(table) && stdout.contains("target = \"https://web:443\""), "{stdout}");
    assert!(stdout.contains("host = \"upstream\""), "{stdout}");

    let again = directory.file("again.toml", &stdout);
    assert_eq!(
        run(&["validate", "--config", &again])
            .1
            .split_once("\n\n")
            .unwrap()
            .1
            .lines()
            .skip(1)
            .collect::<Vec<_>>(),
        stdout.split_once("\n\n").unwrap().1.lines().skip(1).collect::<Vec<_>>(),
        "what is printed means the same"
    );

    let (_, stdout, _) =
        run(&["validate", "--config", &config, "--route", "/b=5000", "--route", "/c=h2c://x"]);
    assert!(
        !stdout.contains("/api") && stdout.contains("\"/b\"") && stdout.contains("\"h2c://x:80\""),
        "{stdout}"
    );
}

#[test]
fn an_insecure_agent_says_so_loudly() {
    for (flag, key) in [
        ("--upstream-insecure", "upstream_insecure = true"),
        ("--insecure-skip-verify", "insecure_skip_verify = true"),
    ] {
        for (silence, mark) in
            [(&[][..], "WARN"), (&["--quiet"], "WARN"), (&["--log-level", "error"], "warning")]
        {
            let mut program = program();
            let gateway = ["validate", "https://web", "--gateway", "grpcs://gw", flag];
            let (code, stdout, stderr) = outcome(program.args(gateway).args(silence));
            assert_eq!(code, Some(0), "{stderr}");
            assert!(stderr.contains(mark) && stderr.contains("NOT checked"), "{silence:?}: {stderr}");
            assert!(stdout.contains(key), "{stdout}");
        }
    }
}

#[test]
fn what_is_said_of_tls_where_there_is_none_is_warned_of() {
    for (gateway, warned) in [("grpc://127.0.0.1", true), ("http://127.0.0.1", true), ("https://gw", false)] {
        let (code, _, stderr) =
            run(&["validate", "3000", "--gateway", gateway, "--tls-server-name", "gw.example.com"]);
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(stderr.contains("--tls-server-name counts for nothing"), warned, "{stderr}");
    }
}

#[test]
fn an_address_is_repeated_without_its_password() {
    for arguments in [
        &["connect", "3000", "--gateway", "grpc://user:PASSWORD@gw"][..],
        &["connect", "http://user:PASSWORD@web"],
        &["connect", "3000", "--route", "/api=http://user:PASSWORD@web"],
        &["connect", "3000", "--health-check", "http://user:PASSWORD@web/up"],
        &["connect", "3000", "--proxy", "ftp://user:PASSWORD@proxy"],
        &["sign", "--id", "myapp", "--gateway", "grpc://user:PASSWORD@gw"],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!(code, Some(78), "{arguments:?}: {stderr}");
        assert!(!(stdout + &stderr).contains("PASSWORD"), "{stderr}");
    }
}

#[test]
fn the_proxy_is_shown_without_its_password_and_one_that_cannot_be_used_is_refused() {
    let validate = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut program = program();
        program.args(["validate", "3000", "--gateway", "grpc://gw.example.com"]).args(arguments);
        outcome(program.envs(variables.iter().copied()))
    };
    for (variables, arguments, shown) in [
        (&[][..], &[][..], "none"),
        (&[], &["--proxy", "socks5://user:PASSWORD@proxy:1080"], "socks5://***@proxy:1080"),
        (&[("HTTPS_PROXY", "http://proxy:3128")], &[], "http://proxy:3128"),
        (&[("https_proxy", "http://user:PASSWORD@proxy:3128")], &[], "http://***@proxy:3128"),
        (&[("HTTPS_PROXY", "http://proxy:3128")], &["--proxy", "none"], "none"),
        (&[("HTTP_PROXY", "http://b:1"), ("ALL_PROXY", "http://a:1")], &[], "http://a:1"),
        (&[("HTTP_PROXY", "http://b:1")], &[], "http://b:1"),
        (&[("HTTPS_PROXY", "http://b:1"), ("ALL_PROXY", "http://a:1")], &[], "http://b:1"),
        (&[("NO_PROXY", "example.com")], &["--proxy", "http://b:1"], "none"),
        (&[("HTTPS_PROXY", "ftp://proxy"), ("NO_PROXY", "example.com")], &[], "none"),
    ] {
        let (code, stdout, stderr) = validate(variables, arguments);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains(&format!("proxy = \"{shown}\"")), "{shown} is not in\n{stdout}");
        assert!(!stdout.contains("PASSWORD"), "{stdout}");
    }
    for (variable, text) in [("HTTPS_PROXY", "ftp://proxy:21"), ("all_proxy", "https://proxy:443")] {
        let (code, _, stderr) = validate(&[(variable, text)], &[]);
        assert_eq!(code, Some(78), "{stderr}");
        assert!(stderr.contains(&format!("{variable} names no proxy")), "{stderr}");
    }
}

#[test]
fn files_for_tls_are_named_with_what_is_wrong_once() {
    let directory = Directory::new("pem");
    let junk = directory.file("junk", "junk");
    let half = directory.file("half", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    for (arguments, remedy) in [
        (&["--ca-file", &junk][..], "there is no certificate in"),
        (&["--ca-file", &half], "its end is missing"),
        (&["--client-cert", &junk, "--client-key", &junk], "there is no certificate in"),
        (&["--ca-file", "/nonexistent"], "No such file"),
    ] {
        let (code, _, stderr) = outcome(program().args(["validate", "3000"]).args(arguments));
        assert_eq!(code, Some(78), "{stderr}");
        assert_eq!(stderr.matches(remedy).count(), 1, "{stderr}");
        assert!(stderr.contains(arguments[1]), "{stderr}");
    }
}

#[test]
fn a_token_is_taken_from_flag_then_variable_then_file() {
    let directory = Directory::new("token-layers");
    let token = directory.file("token", &format!("{OTHER_TOKEN}\n"));
    let personal = directory.file("indranet/agent.toml", &format!("target = '3000'\ntoken_file = '{token}'"));
    let id = |command: &mut Command| {
        let (code, stdout, stderr) =
            outcome(command.arg("validate").env("XDG_CONFIG_HOME", directory.path("")));
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains(&personal), "{stdout}");
        stdout.lines().find(|line| line.starts_with("id = ")).unwrap().to_owned()
    };
    let variable = id(&mut program());
    let file = id(program().env_remove("INDRANET_TOKEN"));
    assert_ne!(variable, file, "the default id tells which token was used");
    assert_eq!(id(program().env("INDRANET_TOKEN_FILE", &token)), file);
    let with_flag = |flag: &str, value: &str| {
        let mut program = program();
        program.args(["validate", flag, value]).env("XDG_CONFIG_HOME", directory.path(""));
        let (_, stdout, _) = outcome(&mut program);
        stdout.lines().find(|line| line.starts_with("id = ")).unwrap().to_owned()
    };
    assert_eq!(with_flag("--token-file", &token), file);
    assert_eq!(with_flag("--token", OTHER_TOKEN), file);
}

#[test]
fn a_token_on_the_command_line_is_warned_of() {
    for arguments in [&["validate", "3000", "--log-level", "error"][..], &["sign", "--id", "myapp"]] {
        let (code, stdout, stderr) = outcome(program().args(arguments).args(["--token", OTHER_TOKEN]));
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(stderr.matches("--token: every process list shows it").count(), 1, "{stderr}");
        assert!(!(stdout + &stderr).contains(OTHER_TOKEN), "{stderr}");
    }
    let (_, stdout, stderr) = outcome(program().args(["sign", "--id", "myapp"]));
    assert!(!(stdout + &stderr).contains("process list"), "{stderr}");
}

#[test]
fn no_gateway_within_the_retries_allowed_ends_with_69() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = format!("grpc://{closed}");
    let (code, stdout, stderr) = run(&["connect", "3000", "--gateway", &gateway, "--max-retries", "0"]);
    assert_eq!(code, Some(69), "{stderr}");
    assert!(stdout.is_empty(), "stdout is for the public URL only: {stdout}");
    assert!(stderr.contains("error: no gateway could be reached"), "{stderr}");
    assert!(!stderr.contains(SECRET), "{stderr}");
    let (_, _, stderr) = run(&["connect", "3000", "--gateway", &gateway, "--max-retries", "2"]);
    assert!(stderr.contains("in 2 attempts"), "{stderr}");
}

#[test]
fn being_offline_is_a_warning_that_is_not_repeated() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = format!("grpc://{closed}");
    let arguments = ["connect", "3000", "--gateway", &gateway, "--max-retries", "4", "--quiet"];
    let (code, _, stderr) = run(&arguments);
    assert_eq!(code, Some(69), "{stderr}");
    assert_eq!(stderr.matches("offline").count(), 1, "{stderr}");
    assert!(stderr.contains("WARN"), "{stderr}");
}

#[test]
fn a_signed_frame_verifies_for_the_host_of_the_gateway() {
    let arguments = ["sign", "--id", "myapp", "--gateway", "grpc://GW.example.com:9000", "--timestamp"];
    let nonce = "000102030405060708090a0b0c0d0e0f";
    let (code, stdout, stderr) = outcome(program().args(arguments).args(["1790000000000", "--nonce", nonce]));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout.matches('\n').count(), 1, "one line");
    assert!(!stdout.contains(SECRET));

    let frame: Value = serde_json::from_str(&stdout).unwrap();
    let connect = &frame["connect"];
    assert_eq!(connect["timestamp"], "1790000000000", "int64 is a string in JSON");
    assert_eq!(connect["nonce"], "AAECAwQFBgcICQoLDA0ODw==");
    assert_eq!(connect["audience"], "gw.example.com");
    assert_eq!(connect["token"], "itk_k3v9");
    assert_eq!(connect["features"][0], "FEATURE_TRAILERS");

    let credential: Credential = TOKEN.parse().unwrap();
    let request = from_json(connect);
    let transcript = auth::connect_transcript(&request, "gw.example.com", b"");
    auth::verify(&credential.secret, &transcript, &request.signature).unwrap();
}

/// The fields that are signed, read back as a gateway would.
fn from_json(connect: &Value) -> ConnectRequest {
    let text = |key: &str| connect[key].as_str().unwrap().to_owned();
    let number = |key: &str| u32::try_from(connect[key].as_u64().unwrap()).unwrap();
    let feature = |name: &Value| Feature::from_str_name(name.as_str().unwrap()).unwrap().into();
    ConnectRequest {
        agent_id: text("agentId"),
        token: text("token"),
        timestamp: text("timestamp").parse().unwrap(),
        nonce: STANDARD.decode(text("nonce")).unwrap().into(),
        signature: STANDARD.decode(text("signature")).unwrap().into(),
        protocol_version: number("protocolVersion"),
        features: connect["features"].as_array().unwrap().iter().map(feature).collect(),
        initial_window: number("initialWindow"),
        instance_id: text("instanceId"),
        ..ConnectRequest::default()
    }
}

#[test]
fn two_signed_frames_differ() {
    assert_ne!(run(&["sign", "--id", "myapp"]).1, run(&["sign", "--id", "myapp"]).1);
}

#[test]
fn the_flag_for_trials_is_not_proposed() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, stdout, stderr) = run(&["completions", shell]);
        assert_eq!(code, Some(0), "{stderr}");
        let others = stdout.replace("token-file", "");
        assert!(others.len() < stdout.len(), "{shell}");
        assert!(!others.contains("--token") && !others.contains("-l token"), "{shell}: {others}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for arguments in [&["completions", "bash"][..], &["completions", "fish"], &["man"], &["man", "connect"]] {
        assert_needs_no_reader(program().args(arguments));
    }
}
