//! Curves as SVG, made by hand like the bars of [`crate::Plot`] and in the same colours.

use std::fmt::{self, Write as _};

use crate::{
    stats::rounded,
    svg::{STYLE, text},
};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 78.0;
const BOTTOM: f64 = 52.0;
const LEGEND_PITCH: f64 = 170.0;
/// What a division may be wrong by.
const ROUNDING: f64 = 1e-9;
/// Horizontal rules above the axis.
const RULES: u32 = 4;

/// A few curves over one axis.
#[derive(Clone, Debug)]
pub(crate) struct Curves {
    /// What is shown, with its unit.
    pub(crate) title: String,
    /// What the axis stands for, with its unit.
    pub(crate) axis: String,
    pub(crate) scale: Scale,
    /// One colour each; at most four.
    pub(crate) curves: Vec<Curve>,
}

/// How the axis runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    Linear,
    /// Each decade is as wide as the next; what is below 1 stands at 1.
    Logarithmic,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// In the order of the axis.
    pub(crate) points: Vec<(f64, f64)>,
}

/// From figures to places on the page.
struct Frame {
    scale: Scale,
    from: f64,
    to: f64,
    top: f64,
}

impl fmt::Display for Curves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#)?;
        writeln!(f, "<title>{}</title>\n<style>{STYLE}</style>", self.title)?;
        writeln!(f, r#"<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>"#)?;
        text(f, "title", 24.0, 32.0, &self.title)?;
        let Some(frame) = Frame::around(self) else { return writeln!(f, "</svg>") };
        self.draw_axes(f, &frame)?;
        for (index, curve) in self.curves.iter().enumerate() {
            let x = LEFT + LEGEND_PITCH * index as f64;
            writeln!(f, r#"<rect class="c{index}" x="{x}" y="46" width="11" height="11"/>"#)?;
            text(f, "", x + 17.0, 56.0, &curve.name)?;
            curve.draw(f, index, &frame)?;
        }
        writeln!(f, "</svg>")
    }
}

impl Curves {
    fn draw_axes(&self, f: &mut fmt::Formatter<'_>, frame: &Frame) -> fmt::Result {
        for rule in 0..=RULES {
            let value = frame.top * f64::from(rule) / f64::from(RULES);
            let y = frame.y(value);
            let right = WIDTH - RIGHT;
            writeln!(f, r#"<line class="rule" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#)?;
            text(f, "faint", 24.0, y + 4.0, &rounded(value))?;
        }
        for value in frame.marks() {
            text(f, "faint", frame.x(value) - 4.0, HEIGHT - BOTTOM + 18.0, &short(value))?;
        }
        text(f, "faint", LEFT, HEIGHT - 12.0, &self.axis)
    }
}

impl Curve {
    fn draw(&self, f: &mut fmt::Formatter<'_>, index: usize, frame: &Frame) -> fmt::Result {
        let mut line = String::new();
        for (x, y) in &self.points {
            write!(line, "{:.1},{:.1} ", frame.x(*x), frame.y(*y))?;
        }
        writeln!(f, r#"<polyline class="s{index}" points="{}"/>"#, line.trim_end())?;
        for (x, y) in &self.points {
            writeln!(
                f,
                r#"<circle class="c{index}" cx="{:.1}" cy="{:.1}" r="2.5"/>"#,
                frame.x(*x),
                frame.y(*y)
            )?;
        }
        Ok(())
    }
}

impl Frame {
    /// None if there is nothing to be shown.
    fn around(curves: &Curves) -> Option<Self> {
        let points = || curves.curves.iter().flat_map(|curve| &curve.points);
        let from = points().map(|(x, _)| *x).min_by(f64::total_cmp)?;
        let to = points().map(|(x, _)| *x).max_by(f64::total_cmp)?;
        let highest = points().map(|(_, y)| *y).max_by(f64::total_cmp)?;
        Some(Self { scale: curves.scale, from, to, top: round_up(highest) })
    }

    fn x(&self, value: f64) -> f64 {
        let [value, from, to] = [value, self.from, self.to].map(|value| self.place(value));
        let span = (to - from).max(f64::MIN_POSITIVE);
        LEFT + (value - from) / span * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)
    }

    fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(1.0).log10(),
        }
    }

    /// Where the axis has numbers.
    fn marks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                (0..=5).map(|mark| self.from + (self.to - self.from) * f64::from(mark) / 5.0).collect()
            }
            Scale::Logarithmic => {
                let decades = (0..=12).map(|power| 10_f64.powi(power));
                decades.filter(|mark| (self.from.max(1.0)..=self.to).contains(mark)).collect()
            }
        }
    }
}

/// The next number that has but one digit, or two of which the second is 5.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let step = 10_f64.powf(value.log10().floor()) / 2.0;
    (value / step - ROUNDING).ceil() * step
}

fn short(value: f64) -> String {
    match value {
        1e9.. => format!("{} G", rounded_off(value / 1e9)),
        1e6.. => format!("{} M", rounded_off(value / 1e6)),
        1e3.. => format!("{} k", rounded_off(value / 1e3)),
        _ => rounded_off(value),
    }
}

fn rounded_off(value: f64) -> String {
    format!("{}", (value * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(scale: Scale) -> Curves {
        let points = vec![(1.0, 10.0), (10.0, 20.0), (100.0, 36.0)];
        let curves = vec![Curve { name: "one".to_owned(), points }];
        Curves { title: "T".to_owned(), axis: "things".to_owned(), scale, curves }
    }

    #[test]
    fn decades_are_equally_wide() {
        let frame = Frame::around(&curves(Scale::Logarithmic)).unwrap();
        assert_eq!(frame.x(10.0) - frame.x(1.0), frame.x(100.0) - frame.x(10.0));
        assert_eq!(frame.marks(), [1.0, 10.0, 100.0]);
        assert_eq!((frame.x(1.0), frame.x(100.0)), (LEFT, WIDTH - RIGHT));
    }

    #[test]
    fn the_highest_point_is_below_the_top() {
        let frame = Frame::around(&curves(Scale::Linear)).unwrap();
        assert_eq!(frame.top, 40.0);
        assert_eq!((frame.y(0.0), frame.y(40.0)), (HEIGHT - BOTTOM, TOP));
        assert_eq!(
            [0.07, 1.0, 101.0, 0.0].map(round_up).map(|top| (top * 100.0).round()),
            [7.0, 100.0, 15000.0, 100.0]
        );
    }

    #[test]
    fn a_curve_has_all_its_points() {
        let svg = curves(Scale::Linear).to_string();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains(">things</text>") && svg.contains(r#"<polyline class="s0""#));
        let empty = Curves { curves: Vec::new(), ..curves(Scale::Linear) }.to_string();
        assert!(empty.ends_with("</svg>\n"));
    }

    #[test]
    fn large_numbers_are_short() {
        assert_eq!([1.0, 1500.0, 2e6, 1e9].map(short), ["1", "1.5 k", "2 M", "1 G"]);
    }
}
