package jobs_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/server/jobs"
)

// TestPages reads a list in pages, while jobs come and go: those that stay are there once.
func TestPages(t *testing.T) {
	b := start(t, jobs.Options{})
	var want []string
	for range 10 {
		j := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
		b.wait(ann, j.ID)
		want = append(want, j.ID)
	}
	slices.Reverse(want) // the newest first
	b.submit(jobs.Spec{Owner: bob, Transform: "t.echo", Input: input(1)})
	var got []string
	cursor := ""
	for page := range 10 {
		list, next, err := b.Page(ann, cursor, 3, api.JobDone)
		if err != nil || len(list) > 3 {
			t.Fatalf("%d jobs, %v", len(list), err)
		}
		for _, j := range list {
			got = append(got, j.ID)
		}
		if page == 0 {
			b.wait(ann, b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)}).ID)
			if err := b.Remove(t.Context(), ann, got[2]); err != nil { // where the cursor is
				t.Fatal(err)
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if list, next, err := b.Page(ann, "", 10); err != nil || len(list) != 10 || next != "" {
		t.Errorf("a page that has all: %d, %q, %v", len(list), next, err)
	}
	for _, cursor := range []string{"x", "-", "1-", "g-a", "1", "99999999999999999999-a"} {
		if _, _, err := b.Page(ann, cursor, 3); !errors.As(err, new(*abi.FieldError)) {
			t.Errorf("%s: %v", cursor, err)
		}
	}
}

// TestCancelledJobsGoSooner has a job that was cancelled let go of what it holds before others that were over
// sooner.
func TestCancelledJobsGoSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, jobs.Options{})
		done := b.submit(jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1)})
		b.wait(ann, done.ID)
		j := b.submit(jobs.Spec{Owner: ann, Transform: "t.wait", Input: input(3)})
		<-b.waits
		b.let()
		got, err := b.Cancel(t.Context(), ann, j.ID)
		if err != nil || got.State != api.JobCancelled || !got.Expires.Equal(got.Ended.Add(jobs.CancelledAge)) {
			t.Errorf("%+v, %v", got, err)
		}
		time.Sleep(jobs.CancelledAge - 1)
		if _, err := b.Get(ann, j.ID); err != nil {
			t.Errorf("it is gone too soon: %v", err)
		}
		time.Sleep(time.Second)
		if list := b.List(ann); len(list) != 1 || list[0].ID != done.ID {
			t.Errorf("%+v", list)
		}
	})
}

// FuzzCursor has what a client may send as a cursor.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "1-a", "-1-a", "17f0000000000000-abc"} {
		f.Add(seed)
	}
	b := start(f, jobs.Options{})
	f.Fuzz(func(t *testing.T, cursor string) {
		list, next, err := b.Page(ann, cursor, 1)
		if field := (*abi.FieldError)(nil); len(list) != 0 || next != "" || err != nil && !errors.As(err, &field) {
			t.Errorf("%v, %s, %v", list, next, err)
		}
	})
}
