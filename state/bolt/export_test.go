package bolt

// Check is check.
var Check = check
