// Kernels that compute with floats: what guards cost is measured by them. Built by
// clang --target=wasm32 -O2 -mbulk-memory -nostdlib -Wl,--no-entry, as the benchmark does itself.
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define N 64

static double x[N], y[N], z[N], vx[N], vy[N], vz[N], a[N][N], b[N][N], c[N][N];
static uint64_t in[512], out[8];
static uint64_t seed;

static double next(void) {
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (double)(seed >> 11) * 0x1p-53;
}

static double clamp(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

static double bodies(void) {
	for (int i = 0; i < N; i++) x[i] = next(), y[i] = next(), z[i] = next(), vx[i] = vy[i] = vz[i] = 0;
	for (int turn = 0; turn < 4; turn++) {
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++) {
				double dx = x[j] - x[i], dy = y[j] - y[i], dz = z[j] - z[i];
				double d = dx * dx + dy * dy + dz * dz + 1e-3, f = 1 / (d * __builtin_sqrt(d));
				vx[i] += dx * f * 1e-3, vy[i] += dy * f * 1e-3, vz[i] += dz * f * 1e-3;
			}
		for (int i = 0; i < N; i++) x[i] += vx[i], y[i] += vy[i], z[i] += vz[i];
	}
	return x[0] + y[1] + z[2];
}

static double product(void) {
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) a[i][j] = next(), b[i][j] = next(), c[i][j] = 0;
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++)
			for (int j = 0; j < N; j++) c[i][j] += a[i][k] * b[k][j];
	return c[3][5];
}

static double mandelbrot(void) {
	double sum = 0;
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			double cr = i * 3.0 / N - 2, ci = j * 2.0 / N - 1, r = 0, s = 0;
			int n = 0;
			for (; n < 50 && r * r + s * s < 4; n++) {
				double t = r * r - s * s + cr;
				s = 2 * r * s + ci, r = t;
			}
			sum += n;
		}
	return sum;
}

static double clamps(void) { // nothing but selects and conversions
	double sum = 0;
	for (int i = 0; i < 20000; i++) {
		double v = next() * 4 - 2, w = (double)seed * 0x1p-64;
		sum = clamp(sum + clamp(v, -1, 1) * (v < w ? v : w), -1e6, 1e6);
	}
	return sum;
}

static const char manifest[] =
	"{\"name\":\"floats\",\"version\":\"1.0.0\",\"transforms\":["
	"{\"name\":\"floats.bodies\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
	"{\"name\":\"floats.product\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
	"{\"name\":\"floats.mandelbrot\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
	"{\"name\":\"floats.clamps\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}";

EXPORT("resonhost_abi") int version(void) { return 1; }
EXPORT("resonhost_describe") uint64_t describe(void) { return (uint64_t)(uint32_t)manifest << 32 | (sizeof manifest - 1); }
EXPORT("resonhost_alloc") void *room(uint32_t n) { return n <= sizeof in ? in : 0; }

EXPORT("resonhost_run") uint64_t run(uint32_t transform, uint8_t *frame, uint32_t n) {
	seed = 42;
	double v = transform == 0 ? bodies() : transform == 1 ? product() : transform == 2 ? mandelbrot() : clamps();
	uint32_t *head = (uint32_t *)out;
	head[0] = 0x314f4852, head[1] = 1, head[2] = 0, head[3] = 8, head[4] = 0, head[5] = 0;
	out[3] = ((union { double f; uint64_t n; }){v}).n;
	return (uint64_t)(uint32_t)out << 32 | 32;
}
