// The program of parcels, small and real: `parcel ROLE`, in all of its pods (docs/faults.md says how it behaves).
//
// `/live` answers while it runs, `/ready` from START_AFTER seconds on, and neither asks an upstream; `/` asks the upstream.
// It ends with 3 for a setting that is missing or not known, 4 when it cannot write, 5 for an address that is taken.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	wrongSetting = 3
	cannotWrite  = 4
	addressTaken = 5
	patience     = 3 * time.Second
)

// A role: the variable with the address of its upstream, further variables that it needs, and what it does beside serving.
type role struct {
	upstream string
	needs    []string
	begin    func()
}

var roles = map[string]role{
	"reception":    {upstream: "CONSIGNMENTS_URL", begin: serveTLS},
	"consignments": {upstream: "DEPOT_URL", needs: []string{"TOKEN", "CURRENCY"}, begin: currency},
	"scanner":      {upstream: "CONSIGNMENTS_URL"},
	"depot":        {needs: []string{"TOKEN"}, begin: store},
	"pricing":      {begin: prices},
	"stamps":       {},
	"metrics":      {},
}

var began = time.Now()

func main() {
	name := argument(1)
	stopped, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	switch name {
	case "migrate":
		untilAnswered(required("DEPOT_URL"))
	case "wait":
		untilAnswered("http://" + argument(2))
	case "prepare":
	case "access-log":
		<-stopped.Done()
	default:
		serve(name, stopped)
	}
}

func serve(name string, stopped context.Context) {
	does, known := roles[name]
	if !known {
		end(wrongSetting, "no role %q", name)
	}
	for _, each := range append(does.needs, does.upstream) {
		if each != "" {
			required(each)
		}
	}
	seconds("START_AFTER")
	http.HandleFunc("/live", func(to http.ResponseWriter, _ *http.Request) { fmt.Fprintln(to, "alive") })
	http.HandleFunc("/ready", ready)
	http.HandleFunc("/", func(to http.ResponseWriter, asked *http.Request) { answer(does, to, asked) })
	listener := listen(":" + or(os.Getenv("PORT"), "8080"))
	if does.begin != nil {
		does.begin()
	}
	fmt.Printf("serving as %s, version %s\n", name, os.Getenv("VERSION"))
	go http.Serve(listener, nil)
	<-stopped.Done()
	time.Sleep(time.Duration(seconds("END_AFTER")) * time.Second)
}

func ready(to http.ResponseWriter, _ *http.Request) {
	switch {
	case marked("unready"):
		http.Error(to, "not ready", http.StatusServiceUnavailable)
	case time.Since(began) < time.Duration(seconds("START_AFTER"))*time.Second:
		http.Error(to, "still starting", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(to, "ready")
	}
}

func answer(does role, to http.ResponseWriter, asked *http.Request) {
	if marked("hang") {
		<-asked.Context().Done()
		return
	}
	if os.Getenv("VERSION") == "deaf" {
		http.Error(to, "this version understands nothing", http.StatusInternalServerError)
		return
	}
	if asked.URL.Path != "/" || !routed() {
		http.NotFound(to, asked)
		return
	}
	// Who gives no token is told no secret; who gives one has to give the right one.
	if given := asked.Header.Get("Authorization"); argument(1) == "depot" && given != "" && given != bearer() {
		http.Error(to, "the token is not known", http.StatusUnauthorized)
		return
	}
	if does.upstream != "" {
		if problem := ask(os.Getenv(does.upstream)); problem != nil {
			fmt.Fprintln(os.Stderr, problem)
			http.Error(to, problem.Error(), http.StatusBadGateway)
			return
		}
	}
	fmt.Fprintf(to, "%s %s\n", argument(1), os.Getenv("VERSION"))
}

// routed says whether "/" leads to the upstream, where a file of routes says where it leads.
func routed() bool {
	lines, problem := os.ReadFile("/routes/routes")
	if problem != nil {
		return true
	}
	return strings.TrimSpace(string(lines)) == "/ consignments"
}

// ask asks an upstream with our token, and says its name with what it said.
func ask(address string) error {
	within, done := context.WithTimeout(context.Background(), patience)
	defer done()
	asking, problem := http.NewRequestWithContext(within, http.MethodGet, address, nil)
	if problem != nil {
		return fmt.Errorf("upstream %s: %w", address, problem)
	}
	if os.Getenv("TOKEN") != "" {
		asking.Header.Set("Authorization", bearer())
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	said, problem := client.Do(asking)
	if problem != nil {
		return fmt.Errorf("upstream %s: %w", address, problem)
	}
	defer said.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(said.Body, 200))
	if said.StatusCode != http.StatusOK {
		return fmt.Errorf("upstream %s: %s: %s", address, said.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

func bearer() string { return "Bearer " + os.Getenv("TOKEN") }

// untilAnswered ends when somebody answers there, whatever it is.
func untilAnswered(address string) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		said, problem := client.Get(address)
		if problem == nil {
			said.Body.Close()
			return
		}
		fmt.Fprintln(os.Stderr, "waiting:", problem)
		time.Sleep(time.Second)
	}
}

func currency() {
	switch os.Getenv("CURRENCY") {
	case "EUR", "CHF":
	default:
		end(wrongSetting, "CURRENCY: %q is not known; known are EUR and CHF", os.Getenv("CURRENCY"))
	}
}

func serveTLS() {
	const folder = "/tls"
	listener := listen(":" + or(os.Getenv("TLS_PORT"), "8443"))
	go func() {
		problem := http.ServeTLS(listener, nil, filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
		end(wrongSetting, "no certificate: %v", problem)
	}()
}

// store keeps a file of 64 KiB up to date; it ends when that cannot be written.
func store() {
	keep := func() {
		content := []byte(strings.Repeat("parcel\n", 9362))
		if problem := os.WriteFile("/data/parcels", content, 0o644); problem != nil {
			end(cannotWrite, "cannot write: %v", problem)
		}
	}
	keep()
	go func() {
		for range time.Tick(time.Second) {
			keep()
		}
	}()
}

var (
	held    []byte
	holding sync.Mutex
)

// prices holds as much memory as the price list asks for, and reads it anew when it changes.
func prices() {
	const file = "/settings/pricelist"
	known := map[string]int{"small": 32, "large": 96, "huge": 512}
	hold := func() {
		content, problem := os.ReadFile(file)
		if problem != nil {
			end(wrongSetting, "no price list: %v", problem)
		}
		wanted, named := known[strings.TrimSpace(string(content))]
		if !named {
			end(wrongSetting, "pricelist: %q is not known", content)
		}
		holding.Lock()
		defer holding.Unlock()
		if len(held) == wanted<<20 {
			return
		}
		held = nil
		debug.FreeOSMemory()
		held = make([]byte, wanted<<20)
		for at := 0; at < len(held); at += 4096 {
			held[at] = 1
		}
	}
	hold()
	go func() {
		for range time.Tick(time.Second) {
			hold()
		}
	}()
}

func listen(address string) net.Listener {
	listener, problem := net.Listen("tcp", address)
	if errors.Is(problem, syscall.EADDRINUSE) {
		end(addressTaken, "%v", problem)
	}
	if problem != nil {
		end(wrongSetting, "%v", problem)
	}
	return listener
}

// marked says whether a test has marked this very pod, or all pods of its workload.
func marked(mark string) bool {
	for _, name := range []string{os.Getenv("POD_UID"), os.Getenv("WORKLOAD")} {
		if _, problem := os.Stat("/faults/" + name + "." + mark); name != "" && problem == nil {
			return true
		}
	}
	return false
}

func required(name string) string {
	value := os.Getenv(name)
	if value == "" {
		end(wrongSetting, "%s is not set", name)
	}
	return value
}

func seconds(name string) int {
	value, problem := strconv.Atoi(or(os.Getenv(name), "0"))
	if problem != nil {
		end(wrongSetting, "%s: %v", name, problem)
	}
	return value
}

func argument(number int) string {
	if len(os.Args) <= number {
		return ""
	}
	return os.Args[number]
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func end(code int, why string, with ...any) {
	fmt.Fprintf(os.Stderr, why+"\n", with...)
	os.Exit(code)
}
