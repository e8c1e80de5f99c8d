"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "evidence",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.Column("life", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    op.create_index(op.f("ix_evidence_at"), "evidence", ["at"], unique=False)
    op.create_index(op.f("ix_evidence_peer_id"), "evidence", ["peer", "id"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_ledger")),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "models",
        sa.Column("life", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("holdout_loss", sa.Float(precision=53), nullable=True),
        sa.Column("holdout_accuracy", sa.Float(precision=53), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("life", "version", name=op.f("pk_models")),
    )
    op.create_index(op.f("ix_models_at"), "models", ["at"], unique=False)
    op.create_table(
        "operations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.Column("life", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    op.create_index(op.f("ix_operations_at"), "operations", ["at"], unique=False)
    op.create_table(
        "peers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("peer_id", sa.String(), nullable=False),
        sa.Column("up", sa.Boolean(), nullable=False),
        sa.Column("heard_at", sa.Float(precision=53), nullable=True),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.Column("reputation", sa.Float(precision=53), nullable=False),
        sa.Column("latency_ms", sa.Float(precision=53), nullable=True),
        sa.Column("bytes_sent", sa.BigInteger(), nullable=False),
        sa.Column("bytes_received", sa.BigInteger(), nullable=False),
        sa.Column("deadlines_missed", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("faults", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_peers")),
    )
    op.create_table(
        "reputation",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.Column("life", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("score", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reputation")),
    )
    op.create_index(op.f("ix_reputation_at"), "reputation", ["at"], unique=False)
    op.create_index(op.f("ix_reputation_peer_id"), "reputation", ["peer", "id"], unique=False)
    op.create_table(
        "rounds",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.Column("life", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("void", sa.String(), nullable=True),
        sa.Column("present", sa.JSON(), nullable=False),
        sa.Column("absent", sa.JSON(), nullable=False),
        sa.Column("train_s", sa.Float(precision=53), nullable=False),
        sa.Column("exchange_s", sa.Float(precision=53), nullable=False),
        sa.Column("round_s", sa.Float(precision=53), nullable=False),
        sa.Column("loss", sa.Float(precision=53), nullable=True),
        sa.Column("holdout_loss", sa.Float(precision=53), nullable=True),
        sa.Column("holdout_accuracy", sa.Float(precision=53), nullable=True),
        sa.Column("test_accuracy", sa.Float(precision=53), nullable=True),
        sa.Column("consensus_distance", sa.Float(precision=53), nullable=True),
        sa.Column("bytes_sent", sa.BigInteger(), nullable=False),
        sa.Column("bytes_received", sa.BigInteger(), nullable=False),
        sa.Column("champion_version", sa.BigInteger(), nullable=False),
        sa.Column("epsilon", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rounds")),
    )
    op.create_index(op.f("ix_rounds_at"), "rounds", ["at"], unique=False)
    op.create_index(op.f("ix_rounds_life_round"), "rounds", ["life", "round"], unique=False)
    op.create_table(
        "verdicts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.Column("life", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=False),
        sa.Column("after", sa.String(), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("reviewed_at", sa.Float(precision=53), nullable=True),
        sa.Column("reviewed_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
    )
    op.create_index(op.f("ix_verdicts_at"), "verdicts", ["at"], unique=False)
    op.create_index(op.f("ix_verdicts_peer_id"), "verdicts", ["peer", "id"], unique=False)
