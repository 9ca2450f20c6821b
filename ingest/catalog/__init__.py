"""What vendors serve, and who is asked first."""
