"""Runs on a Ray cluster that are submitted from elsewhere: what goes along, how secrets travel, and Ray's Jobs API."""
