-- served: the interval, microseconds, at which the script notes that a worker serves a lane.
return 5e6
