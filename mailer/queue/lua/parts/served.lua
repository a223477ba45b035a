-- served: how often it is written down that a worker serves a lane, microseconds.
return 5e6
