"""The benchmark suite behind `cnnfast bench`: workloads, peers, a worker process for each peer, a runner, a report."""
