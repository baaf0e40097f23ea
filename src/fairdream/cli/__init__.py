"""The commands of FairDream; nothing imports them."""
