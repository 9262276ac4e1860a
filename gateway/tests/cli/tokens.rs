//! `token` and `key`: the life of credentials.

use super::*;

/// The last word of a command that made or rotated a token.
fn credential(outcome: (Option<i32>, String, String)) -> proto::Credential {
    let (code, stdout, stderr) = outcome;
    assert_eq!(code, Some(0), "{stderr}");
    stdout.trim_end().parse().unwrap()
}

#[test]
fn a_token_lives_and_dies_on_the_command_line() {
    let directory = Directory::new("life");
    let tokens = directory.path("tokens.toml");
    let audit = directory.path("audit.log");
    let common = ["--tokens", &tokens, "--audit-log", &audit];
    let made =
        credential(outcome(program().args(["token", "new", "--agent-id", "shop"]).args(common).args([
            "--name",
            "the shop",
            "--expires",
            "90d",
            "--max-sessions",
            "2",
            "--max-concurrent",
            "7",
        ])));
    let id = made.token.as_str();
    let (code, table, _) = run(&["token", "list", "--tokens", &tokens]);
    assert_eq!(code, Some(0));
    assert!(table.starts_with("ID ") && table.contains("the shop") && table.contains("active"), "{table}");

    let rotated =
        credential(outcome(program().args(["token", "rotate", id, "--overlap", "1h"]).args(common)));
    assert_eq!(rotated.token, made.token);
    assert!(!rotated.secret.same_as(&made.secret));
    let (_, json, _) = run(&["token", "list", "--json", "--tokens", &tokens]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&rows[0]["id"], &rows[0]["state"]), (&id.into(), &"rotating".into()));
    assert_eq!((&rows[0]["max_sessions"], &rows[0]["max_concurrent"]), (&2.into(), &7.into()));
    assert!(rows[0]["expires"].is_string() && rows[0]["previous_until"].is_string(), "{json}");

    let (code, ..) = outcome(program().args(["token", "revoke", id]).args(common));
    assert_eq!(code, Some(0));
    let (code, again, _) = outcome(program().args(["token", "revoke", id]).args(common));
    assert_eq!((code, again), (Some(0), format!("{id} was revoked before\n")), "and it is not told again");
    let (_, shown, _) = run(&["token", "show", id, "--tokens", &tokens]);
    assert!(shown.contains("state           revoked\n"), "{shown}");
    let (code, ..) = outcome(program().args(["token", "revoke", "--purge", id]).args(common));
    assert_eq!(code, Some(0));
    assert_eq!(run(&["token", "list", "--tokens", &tokens]).1, "no tokens\n");

    let told = fs::read_to_string(&audit).unwrap();
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<&str> = told.iter().map(|event| event["what"].as_str().unwrap()).collect();
    assert_eq!(words, ["token_new", "token_rotate", "token_revoke", "token_purge"]);
    assert_eq!(told[0]["agent_ids"], "shop");
    assert!(told[0]["expires"].as_str().is_some_and(|end| end.ends_with('Z')), "{}", told[0]);
    assert!(told.iter().all(|event| event["token"] == id && event["user"].is_u64()));
    let everything = [table, json, shown, fs::read_to_string(&audit).unwrap()].concat();
    for secret in [made.secret.reveal(), rotated.secret.reveal()] {
        assert!(!everything.contains(&*secret));
    }
}

#[test]
fn with_a_master_key_the_token_file_holds_no_secret() {
    let directory = Directory::new("master");
    let (tokens, key) = (directory.path("tokens.toml"), directory.path("credentials/indranet-master-key"));
    fs::create_dir_all(directory.path("credentials")).unwrap();
    let (code, stdout, stderr) = run(&["key", "new", "--out", &key]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(run(&["key", "new", "--out", &key]).0, Some(1), "a key is not replaced");

    let new = ["token", "new", "--agent-id", "shop", "--tokens", &tokens, "--master-key-file", &key];
    let made = credential(run(&new));
    let text = fs::read_to_string(&tokens).unwrap();
    assert!(!text.contains("secret") && text.contains("generation = 1"), "{text}");

    let validate = ["validate", "--domain", "example.com", "--tokens", &tokens];
    let (code, _, stderr) = run(&validate);
    assert_eq!(code, Some(78));
    assert!(stderr.contains("--master-key-file FILE"), "{stderr}");
    let (code, stdout, _) = outcome(program().args(validate).args(["--master-key-file", &key]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains(&format!("master_key_file = \"{key}\"")), "{stdout}");

    let other = directory.path("other-key");
    assert_eq!(run(&["key", "new", "--out", &other]).0, Some(0));
    let (text, rotate) =
        (fs::read_to_string(&tokens).unwrap(), ["token", "rotate", made.token.as_str(), "--tokens", &tokens]);
    for mut command in [&validate[..], &new[..6], &rotate].map(|arguments| {
        let mut command = program();
        command.args(arguments);
        command
    }) {
        let (code, _, stderr) = outcome(command.args(["--master-key-file", &other]));
        assert_eq!(code, Some(78), "{stderr}");
        assert!(stderr.contains("the master key is not the one"), "{stderr}");
    }
    assert_eq!(fs::read_to_string(&tokens).unwrap(), text);

    // systemd says in a variable where its credentials are.
    let credentials = directory.path("credentials");
    let systemd = || {
        let mut command = program();
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        command
    };
    assert_eq!(outcome(systemd().args(validate)).0, Some(0));
    let id = made.token.as_str();
    let rotated = credential(outcome(systemd().args(["token", "rotate", id, "--tokens", &tokens])));
    assert!(!rotated.secret.same_as(&made.secret));
    let text = fs::read_to_string(&tokens).unwrap();
    assert!(!text.contains("secret") && text.contains("previous_generation = 1"), "{text}");

    let hidden = run(&["key", "new"]).1;
    fs::write(&key, &hidden[1..]).unwrap();
    let (code, stdout, stderr) = outcome(systemd().args(validate));
    assert_eq!(code, Some(78));
    assert!(stderr.contains("is not a master key") && !(stdout + &stderr).contains(&hidden[1..]), "{stderr}");
}

#[test]
fn a_whole_token_stands_for_its_id_and_is_never_repeated() {
    let directory = Directory::new("whole");
    let tokens = directory.path("tokens.toml");
    let made = credential(run(&["token", "new", "--agent-id", "shop", "--tokens", &tokens]));
    let whole = made.reveal();
    let secret = made.secret.reveal();
    let (code, shown, stderr) = run(&["token", "show", &whole, "--tokens", &tokens]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(shown.contains(made.token.as_str()), "{shown}");
    let cut = &whole[..whole.len() - 3];
    for arguments in [
        &["token", "show", cut, "--tokens", &tokens][..],
        &["token", "revoke", cut, "--tokens", &tokens],
        &["token", "rotate", cut, "--tokens", &tokens],
        &["token", "list", "--tokens", &whole],
        &["token", "list", "--tokens", cut],
        &["validate", "--domain", "t.test", "--tokens", &whole],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(!(stdout + &stderr).contains(&secret[..8]), "{stderr}");
    }
    let (code, stdout, _) = run(&["token", "revoke", &whole, "--tokens", &tokens]);
    assert_eq!((code, stdout), (Some(0), format!("{} revoked\n", made.token)));
}

#[test]
fn a_whole_master_key_is_never_repeated() {
    let directory = Directory::new("master");
    let tokens = directory.path("tokens.toml");
    let (_, key, _) = run(&["key", "new"]);
    let key = key.trim_end();
    let line = format!("tokens = '{tokens}'\nmaster_key_file = '{key}'\n");
    let config = directory.file("gateway.toml", &line);
    let hex = "0123456789abcdef".repeat(4);
    let serve = ["validate", "--domain", "t.test", "--tokens", &tokens, "--master-key-file"];
    let new = ["token", "new", "--agent-id", "shop", "--tokens", &tokens, "--master-key-file"];
    for (arguments, expected) in [
        ([&serve[..], &[key]].concat(), 2),
        ([&serve[..], &[&hex]].concat(), 2),
        ([&new[..], &[key]].concat(), 2),
        (vec!["token", "list", "--tokens", key], 2),
        (vec!["validate", "--domain", "t.test", "--config", &config], 78),
    ] {
        let (code, stdout, stderr) = run(&arguments);
        assert_eq!(code, Some(expected), "{stderr}");
        assert!(stderr.contains("that is a master key, and the name of a file is needed"), "{stderr}");
        assert!(
            !(stdout + &stderr).contains(&arguments[arguments.len() - 1][..8]) || expected == 78,
            "{stderr}"
        );
        assert!(!stderr.contains(&key[..8]), "{stderr}");
    }
    let (code, _, stderr) = run(&["token", "list", "--tokens", &tokens, key]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("unexpected argument '***'"), "{stderr}");
}

#[test]
fn what_the_audit_log_does_not_take_is_said() {
    let directory = Directory::new("full");
    let tokens = directory.path("tokens.toml");
    let common = ["--tokens", &tokens, "--audit-log", "/dev/full"];
    let new = outcome(program().args(["token", "new", "--agent-id", "shop"]).args(common));
    // The token is good all the same, and nobody else knows it.
    let made: proto::Credential = new.1.trim_end().parse().unwrap();
    let rotated = outcome(program().args(["token", "rotate", made.token.as_str()]).args(common));
    let revoked = outcome(program().args(["token", "revoke", made.token.as_str()]).args(common));
    for (code, _, stderr) in [new, rotated, revoked] {
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("it was done") && stderr.contains("/dev/full"), "{stderr}");
    }
}

#[test]
fn commands_about_tokens_say_what_is_wrong() {
    let directory = Directory::new("wrong-token");
    let tokens = directory.file("tokens.toml", "");
    for (arguments, code, remedy) in [
        (&["new", "--agent-id", "a", "--expires", "soon"][..], 2, "2027-01-31"),
        (&["new", "--agent-id", "a", "--expires", "2020-01-31"], 2, "in the past"),
        (&["new", "--agent-id", "a", "--max-sessions", "0"], 2, "--max-sessions"),
        (&["new", "--agent-id", "a", "--name", "a\nb"], 2, "one line"),
        (&["rotate", "itk_nobody"], 78, "gateway-tunnel token list"),
        (&["new", "--agent-id", "a", "--expires", "99999999999d"], 2, "year 9999"),
        (&["rotate", "nobody"], 2, "itk_ followed by"),
        (&["rotate", "itk_a", "--overlap", "100y"], 2, "at most a year"),
        (&["revoke", "itk_nobody"], 78, "gateway-tunnel token list"),
        (&["show", "itk_nobody"], 78, "gateway-tunnel token list"),
        (&["list", "--audit-log", "x"], 2, "--audit-log"),
        (&["revoke", "itk_a", "--audit-log", "/nonexistent/x"], 78, "cannot write the audit log"),
    ] {
        let (found, stdout, stderr) =
            outcome(program().arg("token").args(arguments).args(["--tokens", &tokens]));
        assert_eq!(found, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(remedy) && stdout.is_empty(), "{arguments:?}: {stderr}");
    }
    assert_eq!(fs::read_to_string(&tokens).unwrap(), "");
}
