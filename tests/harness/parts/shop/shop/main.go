// The back end (`shop api`) and the front end (`shop web`) of the stack, small and real.
//
// `/health` says whether it can do its work: the back end asks its database and its cache, the front end asks the back
// end. `/` is answered by whatever process lives, so that whoever depends on it notices by its endpoints, and later than it.
// Nothing is kept between two questions, neither an answer nor a connection.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5"
)

func main() {
	patience, problem := time.ParseDuration(os.Getenv("PATIENCE"))
	if problem != nil {
		log.Fatal("PATIENCE, how long whoever is asked may take: ", problem)
	}
	works := map[string]func(context.Context) error{"api": api, "web": web}[argument()]
	if works == nil {
		log.Fatal("usage: shop api|web")
	}
	version := os.Getenv("VERSION")
	http.HandleFunc("/", func(to http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(to, "%s %s\n", argument(), version)
	})
	http.HandleFunc("/health", func(to http.ResponseWriter, asked *http.Request) {
		within, done := context.WithTimeout(asked.Context(), patience)
		defer done()
		if problem := works(within); problem != nil {
			log.Print(problem)
			http.Error(to, problem.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(to, "ok")
	})
	log.Printf("serving %s version %s", argument(), version)
	log.Fatal(http.ListenAndServe(":8080", nil))
}

func argument() string {
	if len(os.Args) != 2 {
		return ""
	}
	return os.Args[1]
}

// api asks the database and the cache, both, so that each one's trouble is in the log.
func api(within context.Context) error {
	return errors.Join(database(within), cache(within))
}

func database(within context.Context) error {
	connection, problem := pgx.Connect(within, os.Getenv("DATABASE_URL"))
	if problem != nil {
		return fmt.Errorf("the database does not answer: %w", problem)
	}
	defer connection.Close(context.Background())
	if problem = connection.Ping(within); problem != nil {
		return fmt.Errorf("the database does not answer: %w", problem)
	}
	return nil
}

func cache(within context.Context) error {
	connection, problem := redis.DialContext(within, "tcp", os.Getenv("CACHE_ADDRESS"))
	if problem != nil {
		return fmt.Errorf("the cache does not answer: %w", problem)
	}
	defer connection.Close()
	if _, problem = redis.DoContext(connection, within, "PING"); problem != nil {
		return fmt.Errorf("the cache does not answer: %w", problem)
	}
	return nil
}

// web asks whether there is a back end that is ready: its Service answers for one that is.
func web(within context.Context) error {
	asking, problem := http.NewRequestWithContext(within, http.MethodGet, os.Getenv("API_URL"), nil)
	if problem != nil {
		return problem
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, problem := client.Do(asking)
	if problem != nil {
		return fmt.Errorf("the back end does not answer: %w", problem)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the back end answers %s", answer.Status)
	}
	return nil
}
