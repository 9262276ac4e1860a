use std::env;

use anstyle::{AnsiColor, Style};

/// The colours of a terminal, or none of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    colours: bool,
}

impl Palette {
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { colours: false };
    #[cfg(test)]
    pub(super) const COLOURED: Self = Self { colours: true };

    /// What the environment asks for, by the conventions of <https://no-color.org> and <https://bixense.com/clicolors>.
    pub(super) fn from_env() -> Self {
        let is = |name, unwanted: &str| env::var(name).is_ok_and(|value| value == unwanted);
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: !no_color && !is("CLICOLOR", "0") && !is("TERM", "dumb") }
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint(AnsiColor::Green, text)
    }

    pub(super) fn notice(self, text: &str) -> String {
        self.paint(AnsiColor::Yellow, text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint(AnsiColor::Red, text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.styled(Style::new().dimmed(), text)
    }

    /// By the class of a status: success, redirection, the client's fault, the service's.
    pub(super) fn status(self, status: Option<u16>) -> String {
        let colour = match status {
            Some(..300) => AnsiColor::Green,
            Some(300..400) => AnsiColor::Cyan,
            Some(400..500) => AnsiColor::Yellow,
            _ => AnsiColor::Red,
        };
        // The agent does not know which status the gateway gives to an answer that it aborts.
        self.paint(colour, &status.map_or("ERR".to_owned(), |status| status.to_string()))
    }

    fn paint(self, colour: AnsiColor, text: &str) -> String {
        self.styled(colour.on_default(), text)
    }

    fn styled(self, style: Style, text: &str) -> String {
        if self.colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
