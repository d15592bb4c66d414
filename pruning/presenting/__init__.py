"""What a smaller model costs and saves, for people who decide: figures in pairs, stated prices, and a true story."""
