//! A bar plot as SVG, made by hand: it needs no script and no font, and follows the reader's light or dark theme.

use std::fmt::{self, Write as _};

use crate::stats::rounded;

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 24.0;
/// Where the columns of bars begin, right of the rows' labels.
const BARS: f64 = 240.0;
/// Between two columns, with room for the number at the end of the longest bar.
const GAP: f64 = 70.0;
const THICKNESS: f64 = 11.0;
const PITCH: f64 = 14.0;
const ROW_GAP: f64 = 12.0;
const LEGEND_PITCH: f64 = 90.0;

pub(crate) const STYLE: &str = "
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 }
  .head { font-weight: 600 }
  .faint { fill: #59636e }
  .paper { fill: #ffffff }
  .rule { stroke: #d1d9e0 }
  .c0 { fill: #0969da }
  .c1 { fill: #d4622a }
  .c2 { fill: #1a7f37 }
  .c3 { fill: #8250df }
  .p1 { opacity: 0.55 }
  polyline { fill: none; stroke-width: 2 }
  .s0 { stroke: #0969da }
  .s1 { stroke: #d4622a }
  .s2 { stroke: #1a7f37 }
  .s3 { stroke: #8250df }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .faint { fill: #9198a1 }
    .paper { fill: #0d1117 }
    .rule { stroke: #3d444d }
    .c0 { fill: #4493f8 }
    .c1 { fill: #f0883e }
    .c2 { fill: #3fb950 }
    .c3 { fill: #ab7df8 }
    .s0 { stroke: #4493f8 }
    .s1 { stroke: #f0883e }
    .s2 { stroke: #3fb950 }
    .s3 { stroke: #ab7df8 }
  }
";

/// A page of bars.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What is shown.
    pub title: String,
    /// How it was measured.
    pub subtitle: String,
    /// Whose bars there are, one colour each; at most four.
    pub contenders: Vec<String>,
    /// From top to bottom.
    pub sections: Vec<Section>,
}

/// Rows that share their columns and the columns' scales.
#[derive(Clone, Debug)]
pub struct Section {
    /// The heads of its columns.
    pub columns: Vec<String>,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// A label, and for each column a bar for each contender.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the bars are about.
    pub label: String,
    /// By column, then by contender.
    pub cells: Vec<Vec<Bar>>,
    /// The colour of the first bar of each cell, out of four; those below it have the next ones.
    pub colour: usize,
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it is made of; the second part is drawn faded.
    pub parts: Vec<f64>,
    /// The number at its end.
    pub value: f64,
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut y = 78.0;
        let mut body = String::new();
        for section in self.sections.iter().filter(|section| !section.rows.is_empty()) {
            y = section.draw(&mut body, y)?;
        }
        writeln!(f, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img">"#)?;
        writeln!(f, "<title>{}</title>\n<style>{STYLE}</style>", escaped(&self.title))?;
        writeln!(f, r#"<rect class="paper" width="{WIDTH}" height="{y}"/>"#)?;
        text(f, "title", MARGIN, 32.0, &self.title)?;
        text(f, "faint", MARGIN, 52.0, &self.subtitle)?;
        self.legend(f)?;
        writeln!(f, "{body}</svg>")
    }
}

impl Plot {
    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = WIDTH - MARGIN - LEGEND_PITCH * self.contenders.len() as f64;
        for (index, contender) in self.contenders.iter().enumerate() {
            let x = begin + LEGEND_PITCH * index as f64;
            draw_bar(f, index, 0, x, 22.0, THICKNESS)?;
            text(f, "", x + THICKNESS + 6.0, 32.0, contender)?;
        }
        Ok(())
    }
}

impl Section {
    /// Draws it from `y` down, and returns where the next one begins.
    fn draw(&self, out: &mut String, mut y: f64) -> Result<f64, fmt::Error> {
        let count = self.columns.len() as f64;
        let width = (WIDTH - MARGIN - BARS - GAP * count) / count;
        let left = |column: usize| BARS + column as f64 * (width + GAP);
        for (column, head) in self.columns.iter().enumerate() {
            text(out, "head", left(column), y + 14.0, head)?;
        }
        let (right, below) = (WIDTH - MARGIN, y + 24.0);
        writeln!(out, r#"<line class="rule" x1="{MARGIN}" x2="{right}" y1="{below}" y2="{below}"/>"#)?;
        y += 36.0;
        let scales: Vec<f64> = (0..self.columns.len()).map(|column| width / self.longest(column)).collect();
        for row in &self.rows {
            let bars = row.cells.iter().map(Vec::len).max().unwrap_or(0) as f64;
            text(out, "", MARGIN, y + (bars * PITCH) / 2.0 + 3.0, &row.label)?;
            for (column, cell) in row.cells.iter().enumerate() {
                draw_cell(out, cell, row.colour, left(column), y, scales[column])?;
            }
            y += bars * PITCH + ROW_GAP;
        }
        Ok(y + 16.0)
    }

    fn longest(&self, column: usize) -> f64 {
        let bars = self.rows.iter().filter_map(|row| row.cells.get(column)).flatten();
        bars.map(|bar| bar.parts.iter().sum()).fold(f64::MIN_POSITIVE, f64::max)
    }
}

fn draw_cell(out: &mut String, cell: &[Bar], colour: usize, left: f64, top: f64, scale: f64) -> fmt::Result {
    for (contender, Bar { parts, value }) in cell.iter().enumerate() {
        let y = top + contender as f64 * PITCH;
        let mut x = left;
        for (part, length) in parts.iter().enumerate() {
            draw_bar(out, colour + contender, part, x, y, length * scale)?;
            x += length * scale;
        }
        text(out, "faint", x + 6.0, y + 10.0, &rounded(*value))?;
    }
    Ok(())
}

fn draw_bar(
    out: &mut impl fmt::Write,
    contender: usize,
    part: usize,
    x: f64,
    y: f64,
    width: f64,
) -> fmt::Result {
    writeln!(
        out,
        r#"<rect class="c{contender} p{part}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{THICKNESS}"/>"#
    )
}

pub(crate) fn text(out: &mut impl fmt::Write, class: &str, x: f64, y: f64, text: &str) -> fmt::Result {
    writeln!(out, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}</text>"#, escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_of_a_column_fills_it() {
        let row = |label: &str, parts: [f64; 2]| {
            let bars = [parts.to_vec(), vec![parts[0] * 2.0]].map(|parts| Bar { parts, value: 7.0 });
            Row { label: label.to_owned(), cells: vec![bars.to_vec()], colour: 0 }
        };
        let section = Section {
            columns: vec!["CPU".to_owned()],
            rows: vec![row("a<b", [1.0, 1.0]), row("c", [5.0, 2.0])],
        };
        let contenders = ["one", "two"].map(str::to_owned).to_vec();
        let plot =
            Plot { title: "T".to_owned(), subtitle: "S".to_owned(), contenders, sections: vec![section] };
        let svg = plot.to_string();
        let full = WIDTH - MARGIN - BARS - GAP;
        assert!(
            svg.contains(&format!(r#"<rect class="c1 p0" x="240.0" y="168.0" width="{full:.1}""#)),
            "{svg}"
        );
        assert!(svg.contains(">a&lt;b</text>"));
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 6);
    }
}
