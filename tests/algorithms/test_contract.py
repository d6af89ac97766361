"""Protects what others call: ids, groups and parameter names, and their help; tests/scripts/test_docs.py its pages."""

from __future__ import annotations

import re

import pytest
from qgis.core import QgsProcessingModelAlgorithm, QgsProcessingParameterDefinition

# The names that models, scripts and other programs use; those of later versions may be added, none may go.
CONTRACT = {
    "compare": "SAMPLES NETWORKS RUNS SENSOR_SETS MAPS EVALUATION SPLIT_BY BLOCK_SIZE FOLDS TEST LEARNING_CURVE "
    "SEASON_CURVE SEASON_DATES EPOCHS STEP DEVICE SEED MEMORY_MB REPORT TABLE",
    "samplescene": "SIZE SEED CLIMATE OUTPUT",
    "preparestack": "INPUT STACK SENSORS BANDS CRS RESOLUTION START END SEASON_START CAMPAIGN_YEAR MAX_CLOUD "
    "MASK_BUFFER SCL_INVALID REFLECTANCE ORBITS SPECKLE SPECKLE_WINDOW CLOUD_RULE USER_MASKS USER_MASK_INVALID "
    "SKIP_DATES EXTENT OUTPUT REPORT VALID_COUNT LONGEST_GAP COPY",
    "searchproducts": "EXTENT START END SENSORS MAX_CLOUD ENDPOINT OUTPUT FOOTPRINTS",
    "addrasters": "STACK SENSOR KIND RASTERS DATES BANDS SCALE OFFSET NODATA RADAR_UNIT MASKS INVALID_VALUES "
    "VALID_VALUES CRS RESOLUTION SEASON_START CAMPAIGN_YEAR OUTPUT",
    "composite": "STACK SENSOR PERIOD STATISTIC INDICES EXTENT MEMORY_MB OUTPUT",
    "difference": "BEFORE AFTER ZONES ZONE_FIELD NOMENCLATURE LEVEL ZERO_IS_CLASS EXTENT MASK MEMORY_MB OUTPUT TABLE "
    "CLASSES REPORT",
    "coregister": "STACK SENSOR INPUT REFERENCE REFERENCE_DATE BAND REFERENCE_BAND MAX_SHIFT MIN_SHIFT EXTENT WINDOW "
    "WINDOWS COPY MEMORY_MB OUTPUT TABLE REPORT",
    "openstack": "STACK SENSORS START END COLOURS",
    "nomenclature": "REFERENCE CLASS_FIELD TABLE OUTPUT",
    "extractsamples": "STACK REFERENCE CLASS_FIELD NOMENCLATURE LEVEL GROUP_FIELD GROUP_DISTANCE HALO INNER_BUFFER "
    "MIN_SHARE MAX_PER_CLASS MAX_PER_GROUP VALIDATION TEST FOLDS SPLIT_BY BLOCK_SIZE SPLIT_FIELD SEED MEMORY_MB "
    "SCHEDULER PATH_MAP OUTPUT POINTS REPORT",
    "train": "SAMPLES NETWORK EPOCHS BATCH_SIZE LEARNING_RATE CLASS_WEIGHTS SENSORS STEP INDICES EVALUATION RUNS "
    "START_FROM REGIONS REGION_FIELD DEVICE SEED MEMORY_MB OUTPUT REPORT",
    "classify": "STACK MODEL EXTENT MASK LEVEL UNSURE_ERROR REGIONS REGION_FIELD BLEND DEVICE MEMORY_MB "
    "PRECISION SCHEDULER PATH_MAP OUTPUT CONFIDENCE PROBABILITIES",
    "landcovermap": "INPUT STACK REFERENCE CLASS_FIELD NOMENCLATURE NETWORK EVALUATION PREVIEW EXTENT LEVEL "
    "UNSURE_ERROR SENSORS START END SKIP_DATES MAX_CLOUD CLOUD_RULE MASK_BUFFER ORBITS SPECKLE CRS RESOLUTION "
    "SEASON_START CAMPAIGN_YEAR GROUP_FIELD GROUP_DISTANCE INNER_BUFFER MAX_PER_CLASS MAX_PER_GROUP TEST EPOCHS STEP "
    "INDICES CLASS_WEIGHTS RUNS REGIONS REGION_FIELD BLEND MASK SEED DEVICE MEMORY_MB WORK_FOLDER OUTPUT "
    "CONFIDENCE PROBABILITIES MODEL REPORT",
    "descriptors": "STACK MODEL BRANCH DIMENSIONS TYPE POINTS EXTENT MASK DEVICE MEMORY_MB PRECISION SCHEDULER "
    "PATH_MAP OUTPUT TABLE",
    "suggestlabels": "STACK MODEL COUNT SAMPLES REFERENCE DISTANCE METHOD PIXELS EXTENT MASK SEED DEVICE MEMORY_MB "
    "OUTPUT",
    "assess": "MAP REFERENCE CLASS_FIELD SAMPLES MODEL GROUP_FIELD NOMENCLATURE LEVEL CONFIDENCE DESIGN "
    "STRATUM_FIELD PROBABILITY_FIELD SEED MEMORY_MB REPORT TABLE MATRIX OBJECTS",
    "sampledesign": "MAP TARGET_ERROR SIZE EXPECTED_ACCURACY ALLOCATION MIN_PER_CLASS NOMENCLATURE ZERO_IS_CLASS SEED "
    "MEMORY_MB OUTPUT REPORT",
    "areas": "MAP ZONES ZONE_FIELD ASSESSMENT ZERO_IS_CLASS MEMORY_MB OUTPUT REPORT",
    "objectfeatures": "SEGMENTS STACK RASTERS FEATURES INDICES SENSORS PARTIAL MEMORY_MB OUTPUT",
    "trainobjects": "STACK SEGMENTS REFERENCE CLASS_FIELD NOMENCLATURE MIN_SHARE GROUP_FIELD GROUP_DISTANCE RASTERS "
    "NETWORK FEATURES INDICES SENSORS PARTIAL DESCRIPTORS SAMPLES DIMENSIONS CLASS_WEIGHTS FOLDS EPOCHS BATCH_SIZE "
    "LEARNING_RATE SEED DEVICE MEMORY_MB OUTPUT REPORT",
    "classifyobjects": "STACK SEGMENTS MODEL RASTERS DESCRIPTORS MAP DEVICE MEMORY_MB OUTPUT RASTER",
    "check": "STACK REFERENCE CLASS_FIELD NOMENCLATURE REPORT",
    "layout": "MAP TITLE STACK MODEL ASSESSMENT LANGUAGE PAPER DPI EXTENT ORGANISATION EMAIL LICENCE REPORTS OUTPUT "
    "TEMPLATE PACKAGE",
    "fromiota2": "CONFIG OUTPUT REPORT",
    "fuse": "MAPS METHOD MATRICES BELIEF UNDECIDED NOMENCLATURE MEMORY_MB OUTPUT CONFIDENCE",
    "mosaic": "MAPS CONFIDENCES CRS RESOLUTION NOMENCLATURE MEMORY_MB OUTPUT CONFIDENCE VRT",
    "regularise": "MAP RADIUS MIN_AREA KEEP MEMORY_MB OUTPUT",
    "vectorise": "MAP TOLERANCE MIN_AREA CONFIDENCE SHARES PROBABILITIES VALID_COUNT SEGMENTS MEMORY_MB OUTPUT",
    "segment": "INPUT STACK SENSOR DATES SCALE MIN_SIZE COLOUR_WEIGHT COMPACTNESS_WEIGHT SUPERPIXEL EXTENT MASK "
    "MEMORY_MB OUTPUT POLYGONS",
    "status": "REPORT",
}
GROUPS = {
    "1 Images",
    "2 Reference",
    "3 Models",
    "4 Maps",
    "5 Objects",
    "6 Accuracy",
    "7 Share",
    "Example models",
    "Tools",
}


@pytest.mark.parametrize("name", CONTRACT)
def test_ids_and_parameter_names_stay(landloom_provider, name):
    algorithm = landloom_provider.algorithm(name)
    assert algorithm is not None
    names = {one.name() for one in algorithm.parameterDefinitions()}
    assert set(CONTRACT[name].split()) <= names
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", one) for one in names)


def test_every_algorithm_and_parameter_explains_itself(landloom_provider):
    for algorithm in landloom_provider.algorithms():
        assert re.fullmatch(r"[a-z][a-z0-9]*", algorithm.name())
        assert algorithm.group() in GROUPS
        assert algorithm.shortDescription().endswith(".")
        assert not algorithm.icon().isNull()
        assert f"landloom:{algorithm.name()}" in algorithm.EXAMPLE
        for one in algorithm.parameterDefinitions():
            assert len(one.help()) > 20, f"{algorithm.name()}: {one.name()}"


def test_side_outputs_are_optional(landloom_provider):
    for algorithm in landloom_provider.algorithms():
        if isinstance(algorithm, QgsProcessingModelAlgorithm):
            continue  # its outputs are those of its steps
        for one in algorithm.parameterDefinitions():
            if one.isDestination() and one.name() != "OUTPUT":
                assert one.flags() & QgsProcessingParameterDefinition.Flag.FlagOptional, one.name()


def test_numbers_of_training_feed_models(landloom_provider):
    outputs = {one.name(): one.type() for one in landloom_provider.algorithm("train").outputDefinitions()}
    assert {outputs[name] for name in ("OVERALL_ACCURACY", "KAPPA", "MACRO_F1")} == {"outputNumber"}
