package cascade

import (
	"encoding"
	"errors"
	"slices"
	"strconv"
	"unsafe"

	"github.com/resonhost/resonhost/resonance/internal/le"
)

// Result is the answer of cascade.
type Result struct {
	// Timestamp is the state's.
	Timestamp int64 `json:"timestamp"`
	// HarmonicScore is within 0 and 1.
	HarmonicScore float64 `json:"harmonicScore"`
	// OctaveAnalysis has [Octaves] entries.
	OctaveAnalysis     []Octave           `json:"octaveAnalysis"`
	Convergence        Convergence        `json:"convergence"`
	EmotionalResonance EmotionalResonance `json:"emotionalResonance"`
	CreativePatterns   CreativePatterns   `json:"creativePatterns"`
	StandingWaves      StandingWaves      `json:"standingWaves"`
	DominantEmotion    DominantEmotion    `json:"dominantEmotion"`
	ResonanceQuality   Quality            `json:"resonanceQuality"`
}

// Octave is the analysis of one octave.
type Octave struct {
	Octave int `json:"octave"`
	// Frequencies are in Hz, 1 to [MaxFrequencies] of them.
	Frequencies []float64 `json:"frequencies"`
	// Harmonics has [HarmonicsPerFrequency] entries for each frequency, in its
	// order; none in a summary.
	Harmonics            []Harmonic `json:"harmonics,omitempty"`
	Resonance            float64    `json:"resonance"`
	GoldenRatioAlignment float64    `json:"goldenRatioAlignment"`
}

// Harmonic is one harmonic of a frequency: Frequency in Hz, Phase in radians.
type Harmonic struct {
	Frequency float64 `json:"frequency"`
	Amplitude float64 `json:"amplitude"`
	Phase     float64 `json:"phase"`
}

// Convergence is where neighbouring octaves resonate alike.
type Convergence struct {
	Points             []Point `json:"points"`
	OverallConvergence float64 `json:"overallConvergence"`
	MaxStrength        float64 `json:"maxStrength"`
}

// Point is one pair of neighbouring octaves.
type Point struct {
	Octaves         [2]int  `json:"octaves"`
	Strength        float64 `json:"strength"`
	GoldenAlignment float64 `json:"goldenAlignment"`
}

// EmotionalResonance is how well the frequencies match each emotion's.
type EmotionalResonance struct {
	Joy     float64 `json:"joy"`
	Love    float64 `json:"love"`
	Peace   float64 `json:"peace"`
	Insight float64 `json:"insight"`
	Unity   float64 `json:"unity"`
}

// CreativePatterns are measures of the octaves' resonances.
type CreativePatterns struct {
	FractalDepth       float64 `json:"fractalDepth"`
	RhythmicComplexity float64 `json:"rhythmicComplexity"`
	HarmonicRichness   float64 `json:"harmonicRichness"`
	EmergentNovelty    float64 `json:"emergentNovelty"`
}

// StandingWaves are pairs of frequencies with a whole ratio.
type StandingWaves struct {
	Detected bool   `json:"detected"`
	Nodes    []Node `json:"nodes"`
	// Antinodes is always empty; it is there for those who read the original's
	// results.
	Antinodes []struct{} `json:"antinodes"`
	Stability float64    `json:"stability"`
}

// Node is one such pair.
type Node struct {
	Frequencies [2]float64 `json:"frequencies"`
	Ratio       float64    `json:"ratio"`
	Strength    float64    `json:"strength"`
}

// DominantEmotion is the emotion of the largest resonance.
type DominantEmotion struct {
	Emotion  Emotion `json:"emotion"`
	Strength float64 `json:"strength"`
	Color    string  `json:"color"`
}

// Emotion names an emotion.
type Emotion string

// Emotions, in the order in which the first of equals dominates. Neutral is of
// no resonance at all.
const (
	Joy     Emotion = "joy"
	Love    Emotion = "love"
	Peace   Emotion = "peace"
	Insight Emotion = "insight"
	Unity   Emotion = "unity"
	Neutral Emotion = "neutral"
)

// emotions and colors are by the number of an emotion in a record.
var (
	emotions = [...]Emotion{Joy, Love, Peace, Insight, Unity, Neutral}
	colors   = [...]string{"#FFD700", "#FF69B4", "#87CEEB", "#9370DB", "#FFFFFF", "#CCCCCC"}
)

// Color returns the emotion's colour as #RRGGBB, or "" of an unknown one.
func (e Emotion) Color() string {
	for i, known := range emotions {
		if e == known {
			return colors[i]
		}
	}
	return ""
}

// Quality is a range of scores.
type Quality string

// Qualities, by the score from which they are.
const (
	Transcendent Quality = "transcendent" // 0.9
	Harmonious   Quality = "harmonious"   // 0.7
	Resonant     Quality = "resonant"     // 0.5
	Emerging     Quality = "emerging"     // 0.3
	Discordant   Quality = "discordant"
)

var qualities = [...]Quality{Transcendent, Harmonious, Resonant, Emerging, Discordant}

// Sizes of a Result.
const (
	MaxFrequencies        = 5
	HarmonicsPerFrequency = 5
	maxPoints             = Octaves - 1
	maxNodes              = MaxFrequencies * (MaxFrequencies - 1) / 2
)

var (
	_ encoding.BinaryAppender    = (*Result)(nil)
	_ encoding.BinaryUnmarshaler = (*Result)(nil)
)

// The record of a Result:
//
//	u64 full (1) or summary (0); frequencies an octave; points; nodes;
//	    dominant emotion; quality
//	i64 timestamp
//	f64 score; convergence 2; emotional resonance 5; creative patterns 4;
//	    stability; dominant strength
//	an octave: f64 resonance, alignment, the frequencies, and if full for
//	    each harmonic its frequency, amplitude and phase
//	a point: u64 the lower octave, f64 strength, alignment
//	a node: f64 the two frequencies, ratio, strength
const resultHeader = (6 + 1 + 14) * 8

func resultSize(frequencies, points, nodes int, full bool) int {
	octave := 2 + frequencies
	if full {
		octave += frequencies * HarmonicsPerFrequency * 3
	}
	return resultHeader + (Octaves*octave+points*3+nodes*4)*8
}

// scalars are the header's floats.
func (r *Result) scalars() [14]*float64 {
	return [14]*float64{
		&r.HarmonicScore,
		&r.Convergence.OverallConvergence, &r.Convergence.MaxStrength,
		&r.EmotionalResonance.Joy, &r.EmotionalResonance.Love, &r.EmotionalResonance.Peace,
		&r.EmotionalResonance.Insight, &r.EmotionalResonance.Unity,
		&r.CreativePatterns.FractalDepth, &r.CreativePatterns.RhythmicComplexity,
		&r.CreativePatterns.HarmonicRichness, &r.CreativePatterns.EmergentNovelty,
		&r.StandingWaves.Stability, &r.DominantEmotion.Strength,
	}
}

// scalarNames are the members that scalars returns.
var scalarNames = [14]string{
	"harmonicScore",
	"convergence.overallConvergence", "convergence.maxStrength",
	"emotionalResonance.joy", "emotionalResonance.love", "emotionalResonance.peace",
	"emotionalResonance.insight", "emotionalResonance.unity",
	"creativePatterns.fractalDepth", "creativePatterns.rhythmicComplexity",
	"creativePatterns.harmonicRichness", "creativePatterns.emergentNovelty",
	"standingWaves.stability", "dominantEmotion.strength",
}

var errForm = errors.New("cascade result: not of the form that the analysis has")

// Validate checks that the result is of the form that the analysis has, its
// timestamp in range, its score within 0 and 1, and every other number finite. It
// returns the first fault, an [*abi.FieldError].
func (r *Result) Validate() error {
	if _, _, err := r.form(); err != nil {
		return err
	}
	if r.Timestamp < -MaxTimestamp || r.Timestamp > MaxTimestamp {
		return fault("timestamp", timestampRule)
	}
	if !(r.HarmonicScore >= 0 && r.HarmonicScore <= 1) {
		return fault("harmonicScore", "must be between 0 and 1")
	}
	for i, v := range r.scalars() {
		if !finite(*v) {
			return fault(scalarNames[i], finiteRule)
		}
	}
	for i := range r.OctaveAnalysis {
		if !r.OctaveAnalysis[i].finite() {
			return fault(at("octaveAnalysis", i), finiteRule)
		}
	}
	for i := range r.Convergence.Points {
		if p := &r.Convergence.Points[i]; !finite(p.Strength) || !finite(p.GoldenAlignment) {
			return fault(at("convergence.points", i), finiteRule)
		}
	}
	for i := range r.StandingWaves.Nodes {
		n := &r.StandingWaves.Nodes[i]
		if !finite(n.Frequencies[0]) || !finite(n.Frequencies[1]) || !finite(n.Ratio) || !finite(n.Strength) {
			return fault(at("standingWaves.nodes", i), finiteRule)
		}
	}
	return nil
}

const finiteRule = "must have finite numbers"

func (o *Octave) finite() bool {
	for _, f := range o.Frequencies {
		if !finite(f) {
			return false
		}
	}
	for i := range o.Harmonics {
		if h := &o.Harmonics[i]; !finite(h.Frequency) || !finite(h.Amplitude) || !finite(h.Phase) {
			return false
		}
	}
	return finite(o.Resonance) && finite(o.GoldenRatioAlignment)
}

func finite(v float64) bool { return v-v == 0 }

// form checks everything but the numbers: what a record cannot carry. It returns
// how many frequencies an octave has, and whether it has harmonics.
func (r *Result) form() (frequencies int, full bool, err error) {
	if len(r.OctaveAnalysis) != Octaves {
		return 0, false, fault("octaveAnalysis", "must have "+strconv.Itoa(Octaves)+" entries")
	}
	frequencies, full = len(r.OctaveAnalysis[0].Frequencies), len(r.OctaveAnalysis[0].Harmonics) > 0
	if frequencies < 1 || frequencies > MaxFrequencies {
		return 0, false, fault("octaveAnalysis[0].frequencies", "must have 1 to "+strconv.Itoa(MaxFrequencies)+" entries")
	}
	harmonics := 0
	if full {
		harmonics = frequencies * HarmonicsPerFrequency
	}
	for i := range r.OctaveAnalysis {
		switch o := &r.OctaveAnalysis[i]; {
		case o.Octave != i:
			return 0, false, fault(at("octaveAnalysis", i)+".octave", "must be "+strconv.Itoa(i))
		case len(o.Frequencies) != frequencies:
			return 0, false, fault(at("octaveAnalysis", i)+".frequencies", "must be as many as in every octave")
		case len(o.Harmonics) != harmonics:
			return 0, false, fault(at("octaveAnalysis", i)+".harmonics", "must be none in any octave, or "+strconv.Itoa(HarmonicsPerFrequency)+" a frequency")
		}
	}
	points, waves := r.Convergence.Points, &r.StandingWaves
	if len(points) > maxPoints {
		return 0, false, fault("convergence.points", "must be at most "+strconv.Itoa(maxPoints))
	}
	for i := range points {
		if o := points[i].Octaves; o[0] < 0 || o[0] >= Octaves-1 || o[1] != o[0]+1 {
			return 0, false, fault(at("convergence.points", i)+".octaves", "must be neighbours")
		}
	}
	switch {
	case len(waves.Nodes) > maxNodes:
		return 0, false, fault("standingWaves.nodes", "must be at most "+strconv.Itoa(maxNodes))
	case waves.Detected != (len(waves.Nodes) > 0):
		return 0, false, fault("standingWaves.detected", "must say whether there are nodes")
	case len(waves.Antinodes) > 0:
		return 0, false, fault("standingWaves.antinodes", "must be empty")
	case !slices.Contains(emotions[:], r.DominantEmotion.Emotion):
		return 0, false, fault("dominantEmotion.emotion", "must be an emotion")
	case r.DominantEmotion.Color != r.DominantEmotion.Emotion.Color():
		return 0, false, fault("dominantEmotion.color", "must be the emotion's")
	case !slices.Contains(qualities[:], r.ResonanceQuality):
		return 0, false, fault("resonanceQuality", "must be a quality")
	}
	return frequencies, full, nil
}

// AppendBinary implements [encoding.BinaryAppender]. It refuses what is not of
// the form that the analysis has, such as a result with seven octaves.
func (r *Result) AppendBinary(b []byte) ([]byte, error) {
	frequencies, full, err := r.form()
	if err != nil {
		return nil, err
	}
	var mode uint64
	if full {
		mode = 1
	}
	emotion := slices.Index(emotions[:], r.DominantEmotion.Emotion)
	quality := slices.Index(qualities[:], r.ResonanceQuality)
	points, nodes := r.Convergence.Points, r.StandingWaves.Nodes
	b = slices.Grow(b, resultSize(frequencies, len(points), len(nodes), full))
	b = le.Append(b, mode, uint64(frequencies), uint64(len(points)), uint64(len(nodes)), uint64(emotion), uint64(quality), uint64(r.Timestamp))
	var scalars [len(scalarNames)]float64
	for i, v := range r.scalars() {
		scalars[i] = *v
	}
	b = le.Append(b, scalars[:]...)
	for i := range r.OctaveAnalysis {
		o := &r.OctaveAnalysis[i]
		b = le.Append(b, o.Resonance, o.GoldenRatioAlignment)
		b = le.Append(b, o.Frequencies...)
		b = le.Append(b, floats(o.Harmonics)...)
	}
	for i := range points {
		p := &points[i]
		b = le.Append(b, uint64(p.Octaves[0]))
		b = le.Append(b, p.Strength, p.GoldenAlignment)
	}
	for i := range nodes {
		n := &nodes[i]
		b = le.Append(b, n.Frequencies[0], n.Frequencies[1], n.Ratio, n.Strength)
	}
	return b, nil
}

// floats returns the memory of harmonics as the run of numbers that it is, and that
// is in a record.
func floats(h []Harmonic) []float64 {
	const each = unsafe.Sizeof(Harmonic{}) / unsafe.Sizeof(float64(0))
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(h))), len(h)*int(each))
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. The memory of slices
// is used again.
func (r *Result) UnmarshalBinary(b []byte) error {
	if len(b) < resultHeader {
		return errForm
	}
	var head [7]uint64
	rest := le.Read(b, head[:])
	full, frequencies, points, nodes, emotion, quality := head[0], head[1], head[2], head[3], head[4], head[5]
	if full > 1 || frequencies < 1 || frequencies > MaxFrequencies || points > maxPoints || nodes > maxNodes ||
		emotion >= uint64(len(emotions)) || quality >= uint64(len(qualities)) {
		return errForm
	}
	if want := resultSize(int(frequencies), int(points), int(nodes), full == 1); len(b) != want {
		return sizeError("result", len(b), want)
	}
	r.Timestamp = int64(head[6])
	var scalars [len(scalarNames)]float64
	rest = le.Read(rest, scalars[:])
	for i, v := range r.scalars() {
		*v = scalars[i]
	}
	r.DominantEmotion.Emotion, r.DominantEmotion.Color = emotions[emotion], colors[emotion]
	r.ResonanceQuality = qualities[quality]
	r.OctaveAnalysis = resize(r.OctaveAnalysis, Octaves)
	for i := range r.OctaveAnalysis {
		o := &r.OctaveAnalysis[i]
		var two [2]float64
		rest = le.Read(rest, two[:])
		o.Octave, o.Resonance, o.GoldenRatioAlignment = i, two[0], two[1]
		o.Frequencies = resize(o.Frequencies, int(frequencies))
		rest = le.Read(rest, o.Frequencies)
		o.Harmonics = resize(o.Harmonics, int(full*frequencies*HarmonicsPerFrequency))
		rest = le.Read(rest, floats(o.Harmonics))
	}
	r.Convergence.Points = resize(r.Convergence.Points, int(points))
	for i := range r.Convergence.Points {
		var lower [1]uint64
		var two [2]float64
		rest = le.Read(le.Read(rest, lower[:]), two[:])
		if lower[0] >= maxPoints {
			return errForm
		}
		k := int(lower[0])
		r.Convergence.Points[i] = Point{Octaves: [2]int{k, k + 1}, Strength: two[0], GoldenAlignment: two[1]}
	}
	r.StandingWaves.Nodes = resize(r.StandingWaves.Nodes, int(nodes))
	for i := range r.StandingWaves.Nodes {
		var four [4]float64
		rest = le.Read(rest, four[:])
		r.StandingWaves.Nodes[i] = Node{Frequencies: [2]float64{four[0], four[1]}, Ratio: four[2], Strength: four[3]}
	}
	r.StandingWaves.Detected = nodes > 0
	r.StandingWaves.Antinodes = resize(r.StandingWaves.Antinodes, 0)
	return nil
}

// resize returns s with n elements, in its own memory if that suffices, and never
// nil: JSON is to show an empty list.
func resize[T any](s []T, n int) []T {
	if s == nil || cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
