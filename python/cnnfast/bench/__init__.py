"""The benchmark suite behind `cnnfast bench`: workloads, peers in their own processes, runner, report."""
