use agent::Transport;

/// What was found over one transport, from few to many.
pub(super) struct Curve<P> {
    pub(super) transport: Transport,
    pub(super) points: Vec<P>,
    /// Why there are no more.
    pub(super) trouble: Option<String>,
}

impl<P> Curve<P> {
    /// Measures one point after the other, and ends with the first that does not work.
    pub(super) async fn of<C>(
        transport: Transport,
        counts: impl IntoIterator<Item = C>,
        mut point: impl AsyncFnMut(C) -> anyhow::Result<P>,
    ) -> Self {
        let mut curve = Self { transport, points: Vec::new(), trouble: None };
        for count in counts {
            match point(count).await {
                Ok(point) => curve.points.push(point),
                Err(error) => {
                    curve.trouble = Some(in_one_line(&error));
                    break;
                }
            }
        }
        curve
    }

    /// The same points as numbers: how many, and what came of it.
    pub(super) fn plotted(&self, point: impl Fn(&P) -> (f64, f64)) -> crate::curves::Curve {
        crate::curves::Curve {
            name: self.transport.label().to_owned(),
            points: self.points.iter().map(point).collect(),
        }
    }
}

/// What went wrong and the first line of what was said about it.
fn in_one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_curve_ends_where_it_does_not_work() {
        let point = async |count: u32| {
            anyhow::ensure!(count < 3, "too many:\nHTTP/1.1 503 \nmore");
            Ok(count * 2)
        };
        let curve = Curve::of(Transport::Grpc, 1..9, point).await;
        assert_eq!(curve.points, [2, 4]);
        assert_eq!(curve.trouble.as_deref(), Some("too many: HTTP/1.1 503"));
    }
}
