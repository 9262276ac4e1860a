/// Fields in their order, names in lower case.
pub type Fields = Vec<(String, Vec<u8>)>;

/// Start line and fields of a message.
#[derive(Debug)]
pub struct Head {
    /// The start line, without its end.
    pub start: String,
    /// The fields.
    pub fields: Fields,
}

impl Head {
    /// Reads a head, the empty line included.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
        let start = String::from_utf8(lines.next().unwrap_or_default().to_vec()).unwrap();
        Self { start, fields: fields(lines) }
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap()
    }

    /// The reason phrase of a response.
    pub fn reason(&self) -> &str {
        self.word(2)
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// The one value of a field.
    ///
    /// # Panics
    /// If there are several.
    pub fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() <= 1, "{name} came {} times: {self:?}", values.len());
        values.first().map(|value| std::str::from_utf8(value).unwrap())
    }

    /// Every value of a field, in order.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = self.fields.iter().filter(|(other, _)| other == name);
        named.map(|(_, value)| value.as_slice()).collect()
    }

    /// The declared length of the body.
    pub fn content_length(&self) -> Option<usize> {
        self.value("content-length").map(|length| length.parse().unwrap())
    }

    /// Whether the body comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.value("transfer-encoding") == Some("chunked")
    }

    fn word(&self, index: usize) -> &str {
        self.start.splitn(3, ' ').nth(index).unwrap_or_default()
    }
}

/// Reads fields up to the empty line.
pub(super) fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Fields {
    lines.take_while(|line| !line.is_empty()).map(field).collect()
}

fn field(line: &[u8]) -> (String, Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':').expect("a field has a colon");
    let name = std::str::from_utf8(&line[..colon]).unwrap().to_ascii_lowercase();
    (name, line[colon + 1..].trim_ascii().to_vec())
}
