package meter

// Reloop returns the body of a function without its table.
var Reloop = reloop
