"""The ground of the demo, the benchmarks, the trials and the tests: processes, environments, accounts of the mail."""
