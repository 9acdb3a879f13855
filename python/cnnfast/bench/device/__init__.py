"""The benchmark on a GPU: its rows, its floors, its kernels and what it writes (`cnnfast bench --device cuda`)."""
