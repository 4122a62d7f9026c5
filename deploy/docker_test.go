//go:build linux

package deploy

import (
	"bufio"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sigs.k8s.io/yaml"
)

// user is that of the image.
const user = 65532

var (
	finalStage = regexp.MustCompile(`(?s)\nFROM scratch\n(.*)$`)
	listening  = regexp.MustCompile(`msg=listening addr=(\S+)`)
)

// instructions are those of the image that is left, by name, in their order.
func instructions(t *testing.T) map[string][]string {
	t.Helper()
	m := finalStage.FindStringSubmatch(read(t, "docker/Dockerfile"))
	if m == nil {
		t.Fatal("the Dockerfile has no stage from scratch")
	}
	all := make(map[string][]string)
	for line := range strings.Lines(m[1]) {
		if name, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(name, "#") {
			all[name] = append(all[name], rest)
		}
	}
	return all
}

func words(t *testing.T, list string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(list), &words); err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	return words
}

// TestImage makes the root of the image as the Dockerfile does, and runs what the image runs there, as its
// user, with nothing else to be seen.
func TestImage(t *testing.T) {
	image := instructions(t)
	root := t.TempDir()
	run(t, ".", "coreutils", "docker/rootfs.sh", root, "v0.0.0-test")
	if t.Failed() {
		return
	}
	f, err := elf.Open(filepath.Join(root, "resonhost"))
	if err != nil {
		t.Fatal(err)
	}
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 || f.Section(".interp") != nil {
		t.Errorf("the program is not static: %q, err %v", libraries, err)
	}
	f.Close()
	if want := "--from=build --chown=65532:65532 /out/cache /cache"; !slices.Contains(image["COPY"], want) || !slices.Equal(image["USER"], []string{"65532:65532"}) {
		t.Errorf("COPY %q, USER %q", image["COPY"], image["USER"])
	}
	inside := func(args []string, env ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = "/"
		cmd.Env = append(strings.Fields(strings.Join(image["ENV"], " ")), env...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		if os.Getuid() == 0 {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: user, Gid: user}
		} else {
			cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getgid(), Size: 1}}
		}
		return cmd
	}
	if os.Getuid() == 0 {
		for dir := root; dir != filepath.Dir(dir); dir = filepath.Dir(dir) { // the test's directories are its user's alone
			if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
				if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.Chown(filepath.Join(root, "cache"), user, user); err != nil {
			t.Fatal(err)
		}
	}
	command := append(words(t, image["ENTRYPOINT"][0]), words(t, image["CMD"][0])...)
	cmd := inside(command, "RESONHOST_LISTEN=127.0.0.1:0", "RESONHOST_COMPILE_TIMEOUT=10m", "RESONHOST_INIT_TIMEOUT=2m")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // it has ended, unless the test failed
	var addr string
	var logged strings.Builder
	lines := bufio.NewScanner(log)
	for addr == "" && lines.Scan() {
		logged.WriteString(lines.Text() + "\n")
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			addr = m[1]
		}
	}
	if addr == "" {
		t.Fatalf("it does not serve: %v\n%s", cmd.Wait(), &logged)
	}
	health := image["HEALTHCHECK"][0]
	_, check, _ := strings.Cut(health, "CMD ")
	if out, err := inside(words(t, check), "RESONHOST_URL=http://"+addr).CombinedOutput(); err != nil || string(out) != "ready\n" {
		t.Errorf("the health check says %s, err %v", out, err)
	}
	if out, err := inside(words(t, check), "RESONHOST_URL=http://127.0.0.1:1").CombinedOutput(); err == nil {
		t.Errorf("the health check of nothing says %s", out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		logged.WriteString(lines.Text() + "\n")
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &logged)
	}
	if kept, err := os.ReadDir(filepath.Join(root, "cache")); err != nil || len(kept) == 0 {
		t.Errorf("the cache has nothing, err %v\n%s", err, &logged)
	}
}

// compose is a file of Compose, of which the tests know all members.
type compose struct {
	Host     service                      `json:"x-host"`
	Services map[string]service           `json:"services"`
	Secrets  map[string]map[string]string `json:"secrets"`
	Volumes  map[string]struct{}          `json:"volumes"`
}

type service struct {
	Image       string            `json:"image"`
	Hostname    string            `json:"hostname"`
	Command     []string          `json:"command"`
	Build       map[string]string `json:"build"`
	Ports       []string          `json:"ports"`
	Environment map[string]string `json:"environment"`
	Secrets     []string          `json:"secrets"`
	Volumes     []string          `json:"volumes"`
	Health      map[string]any    `json:"healthcheck"`
	Grace       string            `json:"stop_grace_period"`
	Restart     string            `json:"restart"`
	ReadOnly    bool              `json:"read_only"`
	Tmpfs       []string          `json:"tmpfs"`
	CapDrop     []string          `json:"cap_drop"`
	Security    []string          `json:"security_opt"`
	Pids        int               `json:"pids_limit"`
	Memory      string            `json:"mem_limit"`
	DependsOn   map[string]any    `json:"depends_on"`
}

// confined fails a test unless nobody gains a right in a service, or writes beyond its volumes.
func (s *service) confined(t *testing.T) {
	t.Helper()
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.Security, "no-new-privileges:true") || s.Grace != "45s" || s.Pids == 0 || s.Memory == "" {
		t.Errorf("the service is %+v", s)
	}
}

// composed reads a file of Compose, whose services name files and each other as they are there, and are for this machine alone.
func composed(t *testing.T, name string) *compose {
	t.Helper()
	var file compose
	if err := yaml.UnmarshalStrict([]byte(read(t, "docker/"+name)), &file); err != nil {
		t.Fatal(err)
	}
	there := func(what, path string) {
		t.Helper()
		if _, err := os.Stat(filepath.Join("docker", path)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for name, s := range file.Services {
		if s.Build != nil {
			there(name, filepath.Join(s.Build["context"], s.Build["dockerfile"]))
		}
		for _, v := range s.Volumes {
			at, _, _ := strings.Cut(v, ":")
			if _, named := file.Volumes[at]; !named {
				there(name, at)
			}
		}
		for _, secret := range s.Secrets {
			if file.Secrets[secret] == nil {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: others reach the port %s", name, p)
			}
		}
		for other := range s.DependsOn {
			if _, ok := file.Services[other]; !ok {
				t.Errorf("%s: there is no service %s", name, other)
			}
		}
	}
	return &file
}

// TestCompose has a host that gains no right.
func TestCompose(t *testing.T) {
	file := composed(t, "compose.yaml")
	host := file.Services["resonhost"]
	host.confined(t)
	if !slices.Contains(file.Services["prometheus"].Command, "--enable-feature=exemplar-storage") {
		t.Error("Prometheus throws exemplars away")
	}
}

// TestComposeFleet has two hosts with a port and a cache each, and NATS, none of which gains a right. A test of package fleet has a
// server of the configuration do a task for them.
func TestComposeFleet(t *testing.T) {
	file := composed(t, "compose.fleet.yaml")
	var ports, caches []string
	for _, name := range []string{"nats", "one", "two"} {
		s := file.Services[name]
		s.confined(t)
		if name != "nats" {
			ports, caches = append(ports, s.Ports...), append(caches, s.Volumes...)
		}
	}
	if len(file.Services) != 3 || !slices.Equal(ports, []string{"127.0.0.1:8080:8080", "127.0.0.1:8081:8080"}) || !slices.Equal(caches, []string{"cache-one:/cache", "cache-two:/cache"}) {
		t.Errorf("%d services; the hosts have the ports %q and the volumes %q", len(file.Services), ports, caches)
	}
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("ann sha256:"+strings.Repeat("0a", 32)+" scopes=call\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		cmd := exec.Command(binary(t), "config", "check", "--plugins", t.TempDir(), "--listen", ":8080")
		cmd.Env = os.Environ()
		for variable, value := range file.Services[name].Environment {
			if strings.HasPrefix(value, "/run/secrets/") {
				value = tokens
			}
			cmd.Env = append(cmd.Env, variable+"="+value)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}
