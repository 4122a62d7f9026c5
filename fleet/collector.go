package fleet

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// NewCollector returns a collector of a worker's statistics and of what waits in its fleet, for which it asks the server when it is scraped. What the server
// does not say in 2 s is left out.
func NewCollector(w *Worker) prometheus.Collector { return &collector{w} }

type collector struct{ w *Worker }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("resonhost_fleet_"+name, help, labels, nil)
}

// What is collected.
var (
	framesTaken       = desc("frames_taken_total", "Frames that this host took.")
	framesRedelivered = desc("frames_redelivered_total", "Frames that this host took and a host had been given before.")
	framesDone        = desc("frames_total", "Frames that this host took and what came of them: answered, duplicate, expired, dead, or left to another host.", "result")
	framesUnderWay    = desc("frames_under_way", "Frames that this host has.")
	progressTotal     = desc("progress_total", "Times that the server was told that a frame is under way.")
	faultsTotal       = desc("faults_total", "Times that the server did not confirm what was done, that frames waited and did not come, that asking failed, and that a frame was done anew since others had stored states of its partition.", "fault")
	callsTotal        = desc("calls_total", "Calls that this host answered, and those that it sent on to others.", "result")
	queueFrames       = desc("queue_frames", "Frames of the fleet that wait for a host.")
	queueBytes        = desc("queue_bytes", "Bytes of the frames of the fleet that are not done.")
	fleetUnderWay     = desc("queue_under_way", "Frames of the fleet that hosts have.")
	deadLetters       = desc("dead_letters", "Dead letters of the fleet that are kept.")
	deadDropped       = desc("dead_letters_dropped_total", "Dead letters that were discarded for new ones of this host, because there was no room for both.")
	streamFill        = desc("stream_fill", "Shares of their bounds that the streams of frames, answers and dead letters take, from 0 to 1.", "stream")
)

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		framesTaken, framesRedelivered, framesDone, framesUnderWay, progressTotal, faultsTotal, callsTotal,
		queueFrames, queueBytes, fleetUnderWay, deadLetters, deadDropped, streamFill,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.w.Stats()
	counter := func(d *prometheus.Desc, n uint64, label ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label...)
	}
	share := func(d *prometheus.Desc, v float64, label ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, label...)
	}
	gauge := func(d *prometheus.Desc, n uint64) { share(d, float64(n)) }
	counter(framesTaken, s.Taken)
	counter(framesRedelivered, s.Redelivered)
	counter(framesDone, s.Answered, "answered")
	counter(framesDone, s.Duplicates, "duplicate")
	counter(framesDone, s.Expired, "expired")
	counter(framesDone, s.Dead, "dead")
	counter(framesDone, s.Failed, "left")
	gauge(framesUnderWay, uint64(s.UnderWay))
	counter(progressTotal, s.Progress)
	counter(faultsTotal, s.Unacknowledged, "unacknowledged")
	counter(faultsTotal, s.Stalled, "stalled")
	counter(faultsTotal, s.PullsFailed, "pull")
	counter(faultsTotal, s.Fenced, "fenced")
	counter(deadDropped, s.DeadDropped)
	counter(callsTotal, s.Calls, "answered")
	counter(callsTotal, s.Busy, "busy")
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	q, err := c.w.Queue(ctx)
	if err != nil {
		c.w.log.Debug("the server does not say what waits in the fleet", "error", err)
		return
	}
	gauge(queueFrames, q.Waiting)
	gauge(queueBytes, q.Bytes)
	gauge(fleetUnderWay, uint64(q.UnderWay))
	gauge(deadLetters, q.Dead)
	share(streamFill, q.TasksFill, "tasks")
	share(streamFill, q.ResultsFill, "results")
	share(streamFill, q.DeadFill, "dead")
}
