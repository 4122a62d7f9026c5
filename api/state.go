package api

// SavedState is the answer of POST /v1/state/save.
type SavedState struct {
	Saved   uint64  `json:"saved" doc:"How many records of streams were saved since the request came, by a save that was under way too. What else there is, such as networks, is saved as well and not counted."`
	Deleted uint64  `json:"deleted" doc:"How many records of streams that are gone were deleted meanwhile."`
	Unsaved int     `json:"unsaved" doc:"How many changes have come meanwhile and are still to be saved."`
	TookS   float64 `json:"took_seconds" doc:"How long that took."`
}
