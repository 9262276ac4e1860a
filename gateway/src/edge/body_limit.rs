use proto::Fields;

/// How many bytes of a request's body may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyLimit {
    /// `None` for as many as there are.
    left: Option<u64>,
}

/// A body went over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request body over the limit")]
pub(crate) struct TooLarge;

impl BodyLimit {
    /// Nobody counts.
    pub(crate) const NONE: Self = Self { left: None };

    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self { left: limit }
    }

    /// Looks at what a head declares, so that a body need not come to be refused. Who declares nonsense is refused elsewhere.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub(crate) fn check_declared(self, fields: &Fields) -> Result<(), TooLarge> {
        let Some(left) = self.left else { return Ok(()) };
        let lengths =
            fields.all("content-length").filter_map(|value| std::str::from_utf8(value).ok()?.parse().ok());
        if lengths.max().is_some_and(|length: u64| length > left) { Err(TooLarge) } else { Ok(()) }
    }

    /// Counts bytes that came.
    ///
    /// # Errors
    /// [`TooLarge`] if they are more than may come.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), TooLarge> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes as u64).ok_or(TooLarge)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(limit: u64, length: &'static str) -> Result<(), TooLarge> {
        let mut fields = Fields::new();
        fields.push("content-length", length);
        BodyLimit::new(Some(limit)).check_declared(&fields)
    }

    #[test]
    fn a_declared_length_is_enough_to_refuse() {
        assert_eq!(declared(10, "10"), Ok(()));
        assert_eq!(declared(10, "11"), Err(TooLarge));
        assert_eq!(declared(10, "18446744073709551615"), Err(TooLarge));
        assert_eq!(declared(0, "0"), Ok(()));
        assert_eq!(declared(10, "x"), Ok(()));
        assert_eq!(BodyLimit::NONE.check_declared(&Fields::new()), Ok(()));
    }

    #[test]
    fn what_comes_is_counted() {
        let mut limit = BodyLimit::new(Some(10));
        assert_eq!(limit.take(7), Ok(()));
        assert_eq!(limit.take(3), Ok(()));
        assert_eq!(limit.take(0), Ok(()));
        assert_eq!(limit.take(1), Err(TooLarge));
        assert_eq!(BodyLimit::NONE.clone().take(usize::MAX), Ok(()));
    }
}
