"""The loop: human masks → a challenger → the gate → the champion that the backend serves."""
