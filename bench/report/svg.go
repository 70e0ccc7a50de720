package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The picture, in pixels.
const (
	width, height             = 860, 480
	left, right, top, bottom  = 80, 210, 50, 60
	plotWidth, plotHeight     = width - left - right, height - top - bottom
	ticks                     = 5
	legendLine, legendPadding = 20, 14
)

// colors are told apart by those who see fewer of them (Okabe and Ito).
func colors() []string {
	return []string{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"}
}

// SVG draws the plot, with both axes beginning at 0.
func (p Plot) SVG() string {
	maxX, maxY := 0.0, 0.0
	for _, series := range p.Series {
		for i := range series.X {
			maxX, maxY = max(maxX, series.X[i]), max(maxY, series.Y[i])
		}
	}
	stepX, stepY := step(maxX), step(maxY)
	maxX, maxY = stepX*max(1, math.Ceil(maxX/stepX)), stepY*max(1, math.Ceil(maxY/stepY))
	x := func(value float64) float64 { return left + value/maxX*plotWidth }
	y := func(value float64) float64 { return top + plotHeight - value/maxY*plotHeight }

	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	text(&out, width/2, top/2, "middle", 16, p.Title)
	text(&out, left+plotWidth/2, height-legendPadding, "middle", 13, p.XLabel)
	text(&out, left-10, top-12, "start", 13, p.YLabel)
	for value := 0.0; value <= maxX*1.0001; value += stepX {
		fmt.Fprintf(&out, `<path d="M%.1f %dv%d" stroke="#ddd"/>`+"\n", x(value), top, plotHeight)
		text(&out, x(value), top+plotHeight+20, "middle", 13, short(value))
	}
	for value := 0.0; value <= maxY*1.0001; value += stepY {
		fmt.Fprintf(&out, `<path d="M%d %.1fh%d" stroke="#ddd"/>`+"\n", left, y(value), plotWidth)
		text(&out, left-8, y(value)+4, "end", 13, short(value))
	}
	for i, series := range p.Series {
		color := colors()[i%len(colors())]
		points := make([]string, len(series.X))
		for j := range series.X {
			points[j] = fmt.Sprintf("%.1f,%.1f", x(series.X[j]), y(series.Y[j]))
			fmt.Fprintf(&out, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x(series.X[j]), y(series.Y[j]), color)
		}
		fmt.Fprintf(&out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), color)
		line := float64(top + legendPadding + i*legendLine)
		fmt.Fprintf(&out, `<rect x="%d" y="%.1f" width="12" height="12" fill="%s"/>`+"\n", left+plotWidth+legendPadding, line-10, color)
		text(&out, left+plotWidth+legendPadding+18, line, "start", 13, series.Name)
	}
	out.WriteString("</svg>\n")
	return out.String()
}

func text(out *strings.Builder, x, y float64, anchor string, size int, content string) {
	fmt.Fprintf(out, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, size, html.EscapeString(content))
}

// step is a round distance between about five ticks.
func step(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most/ticks)))
	for _, factor := range []float64{1, 2, 2.5, 5} {
		if factor*power*ticks >= most {
			return factor * power
		}
	}
	return 10 * power
}

// short writes 1500000 as 1.5M.
func short(value float64) string {
	switch {
	case value >= 1e6:
		return fmt.Sprintf("%gM", value/1e6)
	case value >= 1e3:
		return fmt.Sprintf("%gk", value/1e3)
	default:
		return fmt.Sprintf("%g", value)
	}
}
