//go:build scaffolds

package differ

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// Random programs in C and Rust, compiled natively and to WebAssembly by the same compiler. What
// they compute is defined by their language to the bit, but for the NaN that arithmetic makes, which
// they do not look at.

// construct is an expression in both languages. The kinds are d and f for floats, l and i for unsigned
// numbers of 64 and 32 bits, and s for a signed one of 32.
type construct struct {
	out     byte
	in      string
	c, rust string // with a %s for each operand; rust may be "" if it is the same
}

var constructs = []construct{
	{'d', "dd", "(%s + %s)", ""},
	{'d', "dd", "(%s - %s)", ""},
	{'d', "dd", "(%s * %s)", ""},
	{'d', "dd", "(%s / %s)", ""},
	{'d', "dd", "mn(%s, %s)", ""},
	{'d', "dd", "mx(%s, %s)", ""},
	{'d', "d", "clampd(%s, -7.5, 5.25)", "(%s).clamp(-7.5, 5.25)"},
	{'d', "d", "clampd(%s, -1e3, 1e3)", "(%s).clamp(-1e3, 1e3)"},
	{'d', "dddd", "(%s < %s ? %s : %s)", "(if %s < %s { %s } else { %s })"},
	{'d', "lldd", "(%s < %s ? %s : %s)", "(if %s < %s { %s } else { %s })"},
	{'d', "d", "leaf(%s)", ""},
	{'d', "d", "leaf(%s)", ""},
	{'d', "l", "(double)%s", "(%s as f64)"},
	{'d', "l", "(double)(int64_t)%s", "(%s as i64 as f64)"},
	{'d', "i", "(double)%s", "(%s as f64)"},
	{'d', "s", "(double)%s", "(%s as f64)"},
	{'d', "f", "(double)%s", "(%s as f64)"},
	{'d', "d", "__builtin_sqrt(__builtin_fabs(%s))", "sqrt_abs(%s)"},
	{'d', "dd", "__builtin_copysign(%s, real(%s))", "(%s).copysign(real(%s))"},
	{'f', "ff", "(%s + %s)", ""},
	{'f', "ff", "(%s - %s)", ""},
	{'f', "ff", "(%s * %s)", ""},
	{'f', "ffff", "(%s > %s ? %s : %s)", "(if %s > %s { %s } else { %s })"},
	{'f', "f", "leaff(%s)", ""},
	{'f', "d", "(float)%s", "(%s as f32)"},
	{'f', "l", "(float)%s", "(%s as f32)"},
	{'f', "i", "(float)%s", "(%s as f32)"},
	{'l', "ll", "(%s + %s)", "(%s).wrapping_add(%s)"},
	{'l', "ll", "(%s - %s)", "(%s).wrapping_sub(%s)"},
	{'l', "ll", "(%s * %s)", "(%s).wrapping_mul(%s)"},
	{'l', "ll", "(%s ^ %s)", ""},
	{'l', "ll", "(%s & %s)", ""},
	{'l', "ll", "(%s | %s)", ""},
	{'l', "ll", "(%s / (%s | 1))", ""},
	{'l', "ll", "(%s %% (%s | 1))", ""},
	{'l', "l", "(%s % 60)", ""},
	{'l', "l", "(%s / 10)", ""},
	{'l', "li", "(%s << (%s & 63))", ""},
	{'l', "li", "(%s >> (%s & 63))", ""},
	{'l', "li", "(uint64_t)((int64_t)%s >> (%s & 63))", "((%s as i64) >> (%s & 63)) as u64"},
	{'l', "l", "rotl(%s, 13)", "(%s).rotate_left(13)"},
	{'l', "llll", "(%s < %s ? %s : %s)", "(if %s < %s { %s } else { %s })"},
	{'l', "d", "tou(%s)", "(%s as u64)"},
	{'l', "d", "(uint64_t)toi(%s)", "(%s as i64 as u64)"},
	{'l', "i", "(uint64_t)%s", "(%s as u64)"},
	{'l', "s", "(uint64_t)(int64_t)%s", "(%s as i64 as u64)"},
	{'l', "l", "(uint64_t)__builtin_popcountll(%s)", "((%s).count_ones() as u64)"},
	{'l', "l", "(uint64_t)__builtin_clzll(%s | 1)", "((%s | 1).leading_zeros() as u64)"},
	{'l', "l", "(uint64_t)__builtin_ctzll(%s | 1)", "((%s | 1).trailing_zeros() as u64)"},
	{'i', "ii", "(%s + %s)", "(%s).wrapping_add(%s)"},
	{'i', "ii", "(%s - %s)", "(%s).wrapping_sub(%s)"},
	{'i', "ii", "(%s * %s)", "(%s).wrapping_mul(%s)"},
	{'i', "ii", "(%s ^ %s)", ""},
	{'i', "ii", "(%s & %s)", ""},
	{'i', "ii", "(%s / (%s | 1))", ""},
	{'i', "ii", "(%s %% (%s | 1))", ""},
	{'i', "i", "(%s % 60)", ""},
	{'i', "i", "(%s / 1000)", ""},
	{'i', "iiii", "(0 < (%s & %s) ? %s : %s)", "(if 0 < (%s & %s) { %s } else { %s })"},
	{'i', "l", "(uint32_t)%s", "(%s as u32)"},
	{'i', "s", "(uint32_t)%s", "(%s as u32)"},
	{'i', "d", "(uint32_t)tou(%s)", "(%s as u32)"},
	{'s', "i", "(int32_t)%s", "(%s as i32)"},
	{'s', "ss", "(int32_t)((uint32_t)%s + (uint32_t)%s)", "(%s).wrapping_add(%s)"},
	{'s', "s", "(%s %% 60)", "(%s % 60)"},
	{'s', "s", "(%s / 7)", ""},
	{'s', "i", "(int32_t)(int8_t)%s", "(%s as i8 as i32)"},
	{'s', "ssss", "(%s <= %s ? %s : %s)", "(if %s <= %s { %s } else { %s })"},
}

const cPrelude = `#include <stdint.h>
static inline double mn(double a, double b) { return a < b ? a : b; }
static inline double mx(double a, double b) { return a > b ? a : b; }
static inline double clampd(double x, double lo, double hi) { return x < lo ? lo : (x > hi ? hi : x); }
static inline double real(double x) { return x != x ? 1.0 : x; }
static inline uint64_t rotl(uint64_t x, int n) { return x << n | x >> (64 - n); }
static inline uint64_t tou(double x) { return x >= 0 && x < 18446744073709551615.0 ? (uint64_t)x : 7; }
static inline int64_t toi(double x) { return x > -9.2e18 && x < 9.2e18 ? (int64_t)x : -7; }
__attribute__((noinline)) double leaf(double x) { return x * 1.0001 + 0.1; }
__attribute__((noinline)) float leaff(float x) { return x * 0.5f - 2.0f; }
static uint64_t bits(double x) { uint64_t b; if (x != x) return 42; __builtin_memcpy(&b, &x, 8); return b; }
struct point { double x, y; float z; uint32_t k; uint64_t n; };
static struct point ps[16];
static uint64_t next(uint64_t *s) { *s = *s * 6364136223846793005ull + 1442695040888963407ull; return *s; }
#ifdef __wasm__
__attribute__((export_name("dump"))) void dump(void) {}
__attribute__((export_name("f")))
#endif
uint64_t f(uint64_t s) {
`

const cMain = `
#ifndef __wasm__
#include <stdio.h>
int main(void) { for (uint64_t s = 0; s < %d; s++) printf("%%llu\n", (unsigned long long)f(s)); return 0; }
#endif
`

const rustPrelude = `#![allow(warnings)]
fn mn(a: f64, b: f64) -> f64 { if a < b { a } else { b } }
fn mx(a: f64, b: f64) -> f64 { if a > b { a } else { b } }
fn real(x: f64) -> f64 { if x != x { 1.0 } else { x } }
fn sqrt_abs(x: f64) -> f64 { x.abs().sqrt() }
#[inline(never)] fn leaf(x: f64) -> f64 { x * 1.0001 + 0.1 }
#[inline(never)] fn leaff(x: f32) -> f32 { x * 0.5 - 2.0 }
fn bits(x: f64) -> u64 { if x != x { 42 } else { x.to_bits() } }
#[derive(Clone, Copy, Default)] struct Point { x: f64, y: f64, z: f32, k: u32, n: u64 }
fn next(s: &mut u64) -> u64 { *s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); *s }
#[no_mangle] pub extern "C" fn dump() {}
#[no_mangle] pub extern "C" fn f(seed: u64) -> u64 {
let mut s = seed;
let mut ps = [Point::default(); 16];
`

const rustMain = `
#[cfg(not(target_arch = "wasm32"))]
fn main() { for s in 0..%d { println!("{}", f(s)); } }
`

// author writes a program of a seed in one of the languages.
type author struct {
	*rand.Rand

	rust bool
	vars map[byte]int // how many variables there are of a kind
	b    strings.Builder
}

func (a *author) printf(format string, args ...any) { fmt.Fprintf(&a.b, format, args...) }

// In C and in Rust.
func (a *author) either(c, rust string) string {
	if a.rust {
		return rust
	}
	return c
}

func (a *author) expression(k byte, depth int) string {
	if depth == 0 || a.IntN(6) == 0 {
		switch a.IntN(8) {
		case 0:
			return map[byte]string{
				'd': a.either("1e-19", "1e-19f64"), 'f': a.either("0.75f", "0.75f32"), 'l': a.either("0x8000000000000001ull", "0x8000000000000001u64"), 'i': a.either("1000u", "1000u32"), 's': a.either("(-3)", "(-3i32)"),
			}[k]
		case 1:
			i := fmt.Sprintf(a.either("ps[%s & 15]", "ps[(%s & 15) as usize]"), a.variable('i'))
			switch k {
			case 'd':
				return i + []string{".x", ".y"}[a.IntN(2)]
			case 'f':
				return i + ".z"
			case 'i':
				return i + ".k"
			case 'l':
				return i + ".n"
			}
		}
		return a.variable(k)
	}
	var list []construct
	for _, c := range constructs {
		if c.out == k {
			list = append(list, c)
		}
	}
	c := list[a.IntN(len(list))]
	text := c.c
	if a.rust && c.rust != "" {
		text = c.rust
	}
	for i := range c.in {
		text = strings.Replace(text, "%s", a.expression(c.in[i], depth-1), 1)
	}
	return "(" + strings.ReplaceAll(text, "%%", "%") + ")"
}

func (a *author) variable(k byte) string { return fmt.Sprintf("%c%d", k, a.IntN(a.vars[k])) }

func (a *author) statement(depth int) {
	kinds := "dddddffllllliis"
	switch n := a.IntN(20); {
	case n == 0 && depth > 0:
		a.printf(a.either("if (%s < %s) {\n", "if %s < %s {\n"), a.expression('d', 1), a.expression('d', 1))
		a.block(depth - 1)
	case n == 1 && depth > 0:
		v := fmt.Sprintf("j%d", depth)
		a.printf(a.either("for (uint32_t %[1]s = 0; %[1]s < %[2]d; %[1]s++) {\n", "for %[1]s in 0..%[2]du32 {\n"), v, 2+a.IntN(9))
		a.printf("%[1]s = %[1]s ^ %[2]s;\n", a.variable('i'), v)
		a.block(depth - 1)
	case n < 5:
		field := []string{"x", "y", "z", "k", "n"}[a.IntN(5)]
		k := map[string]byte{"x": 'd', "y": 'd', "z": 'f', "k": 'i', "n": 'l'}[field]
		a.printf(a.either("ps[%s & 15].%s = %s;\n", "ps[(%s & 15) as usize].%s = %s;\n"), a.variable('i'), field, a.expression(k, 2))
	default:
		k := kinds[a.IntN(len(kinds))]
		a.printf("%s = %s;\n", a.variable(k), a.expression(k, 1+a.IntN(3)))
	}
}

func (a *author) block(depth int) {
	for range 1 + a.IntN(6) {
		a.statement(depth)
	}
	a.printf("}\n")
}

const seedsOfProgram = 16

func write(seed uint64, rust bool) string {
	a := &author{Rand: newRand(seed, 2), rust: rust, vars: map[byte]int{'d': 4 + int(seed%18), 'f': 2 + int(seed%7), 'l': 2 + int(seed%12), 'i': 2 + int(seed%5), 's': 2}}
	a.b.WriteString(a.either(cPrelude, rustPrelude))
	a.b.WriteString(a.either(
		"for (int i = 0; i < 16; i++) { ps[i].x = (double)(int64_t)next(&s) / 2e18; ps[i].y = (double)next(&s); ps[i].z = (float)(int64_t)next(&s) / 1e17f; ps[i].k = (uint32_t)next(&s); ps[i].n = next(&s); }\n",
		"for i in 0..16 { ps[i].x = next(&mut s) as i64 as f64 / 2e18; ps[i].y = next(&mut s) as f64; ps[i].z = next(&mut s) as i64 as f32 / 1e17; ps[i].k = next(&mut s) as u32; ps[i].n = next(&mut s); }\n"))
	types := map[byte][2]string{'d': {"double", "f64"}, 'f': {"float", "f32"}, 'l': {"uint64_t", "u64"}, 'i': {"uint32_t", "u32"}, 's': {"int32_t", "i32"}}
	const order = "dflis"
	for _, k := range []byte(order) {
		for i := range a.vars[k] {
			if rust {
				a.printf("let mut %c%d = (next(&mut s) as i64 as f64 / 2e18) as %s; ", k, i, types[k][1])
				if k == 'l' || k == 'i' || k == 's' {
					a.printf("%c%d = next(&mut s) as %s;", k, i, types[k][1])
				}
				a.printf("\n")
				continue
			}
			value := "(" + types[k][0] + ")next(&s)"
			if k == 'd' || k == 'f' {
				value = "(" + types[k][0] + ")((double)(int64_t)next(&s) / 2e18)"
			}
			a.printf("%s %c%d = %s;\n", types[k][0], k, i, value)
		}
	}
	for range 15 + a.IntN(50) {
		a.statement(2)
	}
	a.b.WriteString(a.either("uint64_t h = 17;\n", "let mut h: u64 = 17;\n"))
	mix := a.either("h = h * 31 + %s;\n", "h = h.wrapping_mul(31).wrapping_add(%s);\n")
	for _, k := range []byte(order) {
		for i := range a.vars[k] {
			v := fmt.Sprintf("%c%d", k, i)
			switch k {
			case 'd':
				v = "bits(" + v + ")"
			case 'f':
				v = a.either("bits((double)"+v+")", "bits("+v+" as f64)")
			default:
				v = a.either("(uint64_t)"+v, v+" as u64")
			}
			a.printf(mix, v)
		}
	}
	a.printf(a.either("for (int i = 0; i < 16; i++) { %s}\n", "for i in 0..16 { %s}\n"), strings.ReplaceAll(
		fmt.Sprintf(strings.Repeat(mix, 3), "bits(ps[i].x)", a.either("bits((double)ps[i].z)", "bits(ps[i].z as f64)"), "ps[i].n"), "\n", " "))
	a.printf("return h;\n}\n")
	a.printf(a.either(cMain, rustMain), seedsOfProgram)
	return a.b.String()
}

// TestNative compares as many programs in each language as RESONHOST_NATIVE_TIME, a duration, lets it;
// without that, the same few each time.
func TestNative(t *testing.T) {
	limit, first, n := time.Duration(0), uint64(0), uint64(12)
	if s := os.Getenv("RESONHOST_NATIVE_TIME"); s != "" {
		var err error
		if limit, err = time.ParseDuration(s); err != nil {
			t.Fatal("RESONHOST_NATIVE_TIME: ", err)
		}
		first, n = uint64(time.Now().UnixNano()), 1<<40
	}
	for _, language := range []string{"C", "Rust"} {
		t.Run(language, func(t *testing.T) {
			if language == "Rust" {
				t.Setenv("PATH", guesttest.RustPath(t))
			}
			c := newTestChecker(t, Options{})
			began, done := time.Now(), 0
			for seed := first; seed < first+n && (limit == 0 || time.Since(began) < limit/2); seed++ {
				compareNative(t, c, language == "Rust", seed)
				done++
			}
			t.Logf("%d programs from seed %d", done, first)
		})
	}
}

func compareNative(t *testing.T, c *Checker, rust bool, seed uint64) {
	t.Helper()
	dir := t.TempDir()
	source, native, guest := filepath.Join(dir, "p.c"), filepath.Join(dir, "p"), filepath.Join(dir, "p.wasm")
	level := []string{"1", "2", "3", "0", "2"}[seed%5]
	simd := seed%3 == 0
	var tools [2][]string
	if rust {
		source = filepath.Join(dir, "p.rs")
		tools[0] = []string{"rustc", "--edition", "2021", "-C", "opt-level=" + level, "-C", "overflow-checks=off", "-o", native, source}
		tools[1] = []string{
			"rustc", "--edition", "2021", "-C", "opt-level=" + level, "-C", "overflow-checks=off", "-C", "panic=abort", "-C", "strip=symbols",
			"--crate-type", "cdylib", "--target", "wasm32-unknown-unknown", "-o", guest, source,
		}
		if simd {
			tools[1] = append(tools[1], "-C", "target-feature=+simd128,+nontrapping-fptoint,+sign-ext,+bulk-memory")
		}
	} else {
		tools[0] = []string{"clang", "-O" + level, "-ffp-contract=off", "-fno-math-errno", "-w", "-o", native, source, "-lm"}
		tools[1] = []string{
			"clang", "--target=wasm32", "-O" + level, "-ffp-contract=off", "-fno-math-errno", "-w", "-nostdlib", "-mbulk-memory", "-Wl,--no-entry", "-o", guest, source,
		}
		if simd {
			tools[1] = append(tools[1], "-msimd128", "-mnontrapping-fptoint", "-msign-ext")
		}
	}
	if err := os.WriteFile(source, []byte(write(seed, rust)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools {
		if out, err := exec.CommandContext(t.Context(), tool[0], tool[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("seed %d: %s: %v\n%s\nIt needs clang, lld and cargo with libstd-rust-dev-wasm32.", seed, strings.Join(tool, " "), err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), native).Output()
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	wasm, err := os.ReadFile(guest)
	if err != nil {
		t.Fatal(err)
	}
	mod := &module{wasm: wasm, results: kinds("l")}
	for s := range uint64(seedsOfProgram) {
		mod.calls = append(mod.calls, call{Args: []uint64{s}})
	}
	want := strings.Fields(string(out))
	for _, s := range setups(seed, meter.GuardsFor(runtime.GOARCH)) {
		if s.name == bare {
			continue
		}
		got, err := c.machine.run(t.Context(), s, mod)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i, w := range want {
			if e := got.calls[i]; e.trap != "" || strconv.FormatUint(e.results[0], 10) != w {
				t.Errorf("seed %d (%s), called with %d, %s: %v %s, natively %s", seed, strings.Join(tools[1], " "), i, s.name, e.results, e.trap, w)
				break
			}
		}
	}
}
