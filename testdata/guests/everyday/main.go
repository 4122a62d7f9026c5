//go:build wasip1

// Command everyday is a plugin of what Go programs do, written without regard for where
// they run. Each transform answers the same whatever its input.
package main

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/resonhost/resonhost/abi/guest"
)

var transforms = []struct {
	name string
	run  func() []byte
}{
	{"sha256", hash}, {"sort", sorted}, {"json", decoded}, {"bodies", bodies}, {"words", words},
	{"regexp", matches}, {"flate", compressed}, {"matrix", multiplied},
	{"goroutines", pipeline}, {"panics", panics}, {"stack", deep}, {"garbage", garbage},
}

func init() {
	var entries []string
	var list []guest.Transform
	for _, t := range transforms {
		entries = append(entries, `{"name": "everyday.`+t.name+`", "input": "text/plain", "output": "text/plain"}`)
		list = append(list, func(task *guest.Task) error {
			task.Output = append(task.Output, t.run()...)
			return nil
		})
	}
	guest.Export(guest.New(`{"name": "everyday", "version": "1.0.0", "transforms": [`+strings.Join(entries, ",")+`]}`, list...))
}

func main() {}

// numbers are pseudo-random.
func numbers(n int) []int {
	list, x := make([]int, n), uint32(1)
	for i := range list {
		x = x*1664525 + 1013904223
		list[i] = int(x >> 8)
	}
	return list
}

func hash() []byte {
	sum := sha256.Sum256(make([]byte, 16<<10))
	return sum[:]
}

func sorted() []byte {
	list := numbers(2000)
	sort.Ints(list)
	return strconv.AppendInt(nil, int64(list[10]), 10)
}

func decoded() []byte {
	const text = `{"a": [1, 2, 3, {"b": "c", "d": [true, false, null]}], "values": [1.5, 2.5e3, -4.5], "nested": {"x": {"y": {"z": "deep"}}}}`
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return []byte(err.Error())
	}
	out, err := json.Marshal(v)
	if err != nil {
		return []byte(err.Error())
	}
	return out
}

type body struct{ x, y, z, vx, vy, vz, mass float64 }

func bodies() []byte {
	all := []body{
		{mass: 39}, {4.8, -1.1, -0.1, 0.6, 2.8, -0.02, 0.03}, {8.3, 4.1, -0.4, -1, 1.8, 0.008, 0.01},
		{12, -15, -0.2, 1, 0.8, -0.01, 0.001}, {15, -25, 0.1, 0.9, 0.5, -0.03, 0.002},
	}
	for range 200 {
		for i := range all {
			for j := i + 1; j < len(all); j++ {
				a, b := &all[i], &all[j]
				dx, dy, dz := a.x-b.x, a.y-b.y, a.z-b.z
				d := dx*dx + dy*dy + dz*dz
				by := 0.01 / (d * math.Sqrt(d))
				a.vx, a.vy, a.vz = a.vx-dx*b.mass*by, a.vy-dy*b.mass*by, a.vz-dz*b.mass*by
				b.vx, b.vy, b.vz = b.vx+dx*a.mass*by, b.vy+dy*a.mass*by, b.vz+dz*a.mass*by
			}
		}
		for i := range all {
			b := &all[i]
			b.x, b.y, b.z = b.x+0.01*b.vx, b.y+0.01*b.vy, b.z+0.01*b.vz
		}
	}
	return strconv.AppendFloat(nil, all[0].x, 'g', -1, 64)
}

func words() []byte {
	count := make(map[string]int)
	for _, w := range strings.Fields(strings.Repeat("the quick brown fox jumps over the lazy dog ", 50)) {
		count[strings.ToUpper(w)]++
	}
	return strconv.AppendInt(nil, int64(count["THE"]), 10)
}

func matches() []byte {
	re := regexp.MustCompile(`([a-z]+)@([a-z]+)\.com`)
	found := re.FindAllString(strings.Repeat("mail joe@example.com or ann@test.com now ", 20), -1)
	return strconv.AppendInt(nil, int64(len(found)), 10)
}

func compressed() []byte {
	text := strings.Repeat("the quick brown fox jumps over the lazy dog ", 100)
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return []byte(err.Error())
	}
	back, err := io.ReadAll(flate.NewReader(bytes.NewReader(b.Bytes())))
	return strconv.AppendBool(strconv.AppendInt(nil, int64(b.Len()), 10), err == nil && string(back) == text)
}

func multiplied() []byte {
	const n = 32
	var a, b, c [n][n]float64
	for i := range n {
		for j := range n {
			a[i][j], b[i][j] = float64(i+j), float64(i-j)
		}
	}
	for i := range n {
		for j := range n {
			for k := range n {
				c[i][j] += a[i][k] * b[k][j]
			}
		}
	}
	return strconv.AppendFloat(nil, c[3][4], 'g', -1, 64)
}

// pipeline has goroutines wait for one another, so that the stack is left and entered again.
func pipeline() []byte {
	in, out := make(chan int), make(chan int, 3)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for n := range in {
				out <- n * n
			}
		})
	}
	go func() {
		for _, n := range numbers(200) {
			in <- n % 1000
		}
		close(in)
		workers.Wait()
		close(out)
	}()
	sum := 0
	for n := range out {
		sum += n
	}
	return strconv.AppendInt(nil, int64(sum), 10)
}

// panics leaves functions by panics, which deferred ones stop.
func panics() []byte {
	var out []byte
	try := func(n int) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = v.(error)
			}
		}()
		defer func() { out = strconv.AppendInt(out, int64(n), 10) }()
		list, none := numbers(3), (*body)(nil)
		switch n % 4 {
		case 0:
			return strconv.ErrRange
		case 1:
			out = strconv.AppendInt(out, int64(list[n]), 10)
		case 2:
			out = strconv.AppendInt(out, int64(list[0]/(n-2)), 10)
		default:
			out = strconv.AppendFloat(out, none.x, 'g', -1, 64)
		}
		return nil
	}
	for n := range 12 {
		if err := try(n); err != nil {
			out = append(out, err.Error()...)
		}
	}
	return out
}

// deep has the stack grow.
func deep() []byte {
	var down func(n int, from [64]int) int
	down = func(n int, from [64]int) int {
		if n == 0 {
			return from[3]
		}
		from[n%64] += n
		return down(n-1, from) + from[(n+1)%64]
	}
	return strconv.AppendInt(nil, int64(down(400, [64]int{})), 10)
}

type tree struct{ left, right *tree }

func grown(depth int) *tree {
	if depth == 0 {
		return nil
	}
	return &tree{grown(depth - 1), grown(depth - 1)}
}

func (t *tree) size() int {
	if t == nil {
		return 0
	}
	return 1 + t.left.size() + t.right.size()
}

// garbage has the collector run.
func garbage() []byte {
	sum := 0
	for range 20 {
		sum += grown(11).size()
	}
	list := slices.Repeat([]string{"kept"}, 10)
	return strconv.AppendInt(nil, int64(sum+len(strings.Join(list, ""))), 10)
}
