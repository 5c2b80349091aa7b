"""What teachers leave behind for their students."""
