"""Our paths against `segment_anything`, interleaved in one run: `python -m benchmarks.speed`.

Allocator variables are read at process start, so the benchmark drives two processes of its own over
pipes, one under the default allocator and one tuned as our launcher does. Only one works at a time:
a round is reference (default), reference (tuned), ours in each precision, and the next round starts
anew, so that whatever else the machine does meets all of them alike.
"""
