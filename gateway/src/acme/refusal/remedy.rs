/// What helps against a kind of error (RFC 8555, section 6.7; RFC 9773, section 7.4).
pub(super) fn of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "rateLimited" => {
            "nothing but to wait: it is asked again when it may be; for trials use --acme-staging, and keep --acme-cache over restarts"
        }
        "externalAccountRequired" => {
            "this authority registers nobody whom it does not know: give what it gave you with --acme-eab-kid ID and --acme-eab-key-file FILE"
        }
        "userActionRequired" => {
            "do what the authority asks for at the address that it names, such as to agree to new terms"
        }
        "invalidContact" | "unsupportedContact" => {
            "give a contact that the authority takes with --acme-contact, or none"
        }
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            "this authority gives no certificate for the name: leave its --acme-domain off, or ask another with --acme-directory"
        }
        "caa" => "let the CAA records of the name, or of a domain above it, permit this authority",
        "dns" => "let the name have an A or AAAA record that leads to this gateway",
        "connection" | "tls" | "unauthorized" | "incorrectResponse" => {
            "let ports 80 and 443 of the name reach this gateway from everywhere, with nothing in between that answers itself or ends TLS"
        }
        "accountDoesNotExist" => "none needed: another account is registered",
        "serverInternal" => "nothing but to wait: the authority is ill",
        _ => return None,
    })
}
