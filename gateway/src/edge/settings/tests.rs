use std::time::Duration;

use super::*;
use crate::edge::{InvalidPolicies, Policies};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    agent: Vec<AgentSettings>,
    #[serde(default)]
    agent_defaults: DefaultSettings,
}

fn policies(text: &str) -> Result<Policies, InvalidPolicies> {
    let File { agent, agent_defaults } = toml::from_str(text).unwrap();
    Policies::new(agent, agent_defaults, &["example.com".to_owned()])
}

/// The message, and the text that it points at.
fn error(text: &str) -> (String, &str) {
    let error = toml::from_str::<File>(text).err().unwrap();
    (error.message().to_owned(), error.span().map_or("", |span| &text[span]))
}

const EVERYTHING: &str = r#"
[agent_defaults]
max_body = "10MiB"
offline_status = 503
instances = "replace"
offline_retry_after = "30s"

[[agent]]
id = "myapp"
hosts = ["shop.example.org", "*.customer.example"]
allow = ["10.0.0.0/8", "::1"]
deny = ["10.0.0.13"]
basic_auth = ["ali:$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$Mqp8wAsrOsjVEIymTD0kATxTpTf4f+0ZMgQPDlukk/w"]
forward_authorization = false
redirect_to_https = true
max_body = "1GB"
response_timeout = "2m"
rate_per_client = { per_second = 10, burst = 20 }
rate_per_agent = { per_second = 500 }
request_headers = { set = { x-env = "prod" }, remove = ["x-debug"] }
response_headers = { add = { strict-transport-security = "max-age=63072000" } }
"#;

#[test]
fn every_key_is_understood_and_an_agents_own_goes_first() {
    let Policies { agents, defaults, .. } = policies(EVERYTHING).unwrap();
    let merged = agents[0].over(&defaults);
    assert_eq!(merged.max_body, Some(Size(1_000_000_000)));
    assert_eq!(merged.offline_status, Some(OfflineStatus::Unavailable));
    assert_eq!(merged.rate_per_agent, Some(Rate::new(500.0, 500).unwrap()));
    assert_eq!(merged.allow.unwrap().len(), 2);
    let connecting = crate::edge::Rules::new(&policies(EVERYTHING).unwrap()).connecting(&agents[0].id.0);
    assert_eq!(connecting.response_timeout, Some(Duration::from_secs(120)));
    assert_eq!(connecting.instances, Some(session::Instances::Replace));
}

#[test]
fn what_was_read_can_be_written() {
    let (agent, agent_defaults) = policies(EVERYTHING).unwrap().into_tables();
    let text = toml::to_string(&File { agent, agent_defaults }).unwrap();
    for part in [
        "id = \"myapp\"",
        "max_body = \"10MiB\"",
        "offline_status = 503",
        "\"ali:<hidden>\"",
        "x-env = \"<hidden>\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_mistake_is_shown_where_it_is() {
    for (text, part, place) in [
        ("[[agent]]\nid = 'a'\nmax_bdy = '1'", "unknown field `max_bdy`", "max_bdy"),
        ("[[agent]]\nid = 'A'", "an agent id is made of", "'A'"),
        ("[[agent]]\nid = 'a'\nallow = ['10.0.0.0/33']", "`10.0.0.0/33`: a network is", "['10.0.0.0/33']"),
        ("[[agent]]\nid = 'a'\nhosts = ['a b']", "`a b`: a host is written", "['a b']"),
        ("[[agent]]\nid = 'a'\nmax_body = 'big'", "a size is", "'big'"),
        ("[[agent]]\nid = 'a'\noffline_status = 500", "404 or 503", "500"),
        ("[[agent]]\nid = 'a'\nrate_per_client = { per_second = 0 }", "a rate needs", "{ per_second = 0 }"),
        (
            "[[agent]]\nid = 'a'\nrequest_headers = { remove = ['host'] }",
            "`host` cannot be changed",
            "['host']",
        ),
        (
            "[[agent]]\nid = 'a'\nbasic_auth = ['ali:hush']",
            "user `ali`: not a hashed password",
            "['ali:hush']",
        ),
        ("[[agent]]\nid = 'a'\nresponse_timeout = '0s'", "a time-out is", "'0s'"),
        ("[agent_defaults]\nid = 'a'", "one agent", "'a'"),
        ("[agent_defaults]\nhosts = ['a']", "one agent", "['a']"),
    ] {
        let (message, at) = error(text);
        assert!(message.contains(part) && !message.contains("hush"), "{text}: {message}");
        assert_eq!(at, place, "{text}");
    }
    assert!(error("[[agent]]\nmax_body = '1'").0.contains("missing field `id`"));
}

#[test]
fn tables_that_contradict_each_other_are_refused() {
    let agent = |id: &str, hosts: &str| format!("[[agent]]\nid = '{id}'\nhosts = [{hosts}]\n");
    let message = |text: String| policies(&text).unwrap_err().to_string();
    assert!(message(agent("a", "") + &agent("a", "")).contains("two [[agent]] tables have id = \"a\""));
    let twice = message(agent("a", "'x.org'") + &agent("b", "'X.org'"));
    assert!(twice.contains("`x.org` stands under both `a` and `b`"), "{twice}");
    assert!(message(agent("a", "'*.example.com'")).contains("`*.example.com`"));
    policies(&(agent("a", "'x.org', 'example.com'") + &agent("b", "'*.x.org'"))).unwrap();
}
